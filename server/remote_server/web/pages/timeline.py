"""A job's timeline as a picture: each attempt a lane, each delay a bar. Pure.

Places are percents of the whole time, so that the picture fits every width without a script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from remote_protocol.api.events import TimelineEntry
from remote_protocol.api.jobs import AttemptView, JobView
from remote_protocol.states import AttemptState, JobState
from remote_protocol.units import parse_duration
from remote_server.web.pages.job_words import attempt_state, attempt_words
from remote_server.web.pages.words import duration

LANES: Final = 8
"""Attempts that are drawn: the last ones."""
_TICKS: Final = 6
_WIDE: Final = 24.0
_NARROW: Final = 13.0
"""Percents that a bar needs for its words, and for a single one."""
_STEPS: Final = tuple(
    float(number)
    for number in (
        *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
        *(60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200),
        *(86400, 2 * 86400, 7 * 86400, 30 * 86400, 90 * 86400, 365 * 86400),
    )
)
_SILENT: Final = re.compile(r" was silent for (\S+)")


class Bar(NamedTuple):
    """A part of an attempt."""

    kind: str
    """`wait`, `ran` or `silent`."""
    x: float
    width: float
    words: str
    """On the bar; empty when there is no room."""
    title: str


@dataclass(slots=True)
class Lane:
    """One attempt, or the wait for one."""

    title: str
    state: str
    where: str
    long: str
    bars: list[Bar] = field(default_factory=list)
    mark: float | None = None
    """Where it ended."""

    @property
    def said(self) -> str:
        """The lane for who does not see it."""
        return f"{self.title}, {self.where}: {'; '.join(bar.title for bar in self.bars)}"


class Tick(NamedTuple):
    """A mark of the axis."""

    x: float
    words: str


class Delay(NamedTuple):
    """One delay of the last attempt."""

    words: str
    seconds: float
    more: bool
    """It comes after the former one."""
    kind: str = ""
    """The bar that shows it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it."""

    lanes: list[Lane]
    ticks: list[Tick]
    delays: list[Delay]
    delays_of: str
    total: float
    left_out: int
    """Attempts before those that are drawn."""


class _Scale:
    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.total = max(end - start, 0.001)

    def at(self, moment: float) -> float:
        return round(min(max((moment - self.start) / self.total, 0.0), 1.0) * 100, 3)

    def bar(self, kind: str, start: float, end: float, words: str, short: str) -> Bar:
        x, width = self.at(start), max(0.3, round(self.at(end) - self.at(start), 3))
        said = f"{words} {duration(end - start)}"
        shown = said if width > _WIDE else short if width > _NARROW else ""
        return Bar(kind, min(x, 99.7), width, shown, said)


def picture(
    job: JobView, entries: Sequence[TimelineEntry], now: float, silence: float | None = None
) -> Picture:
    """Draw a job. `silence`: seconds since the agent that holds it was heard; None: it is online,
    or nobody holds it."""
    tried = [one for one in job.attempts if one.state is not AttemptState.WITHDRAWN]
    drawn = tried[-LANES:]
    start = job.created_at.timestamp()
    if len(tried) > len(drawn):
        start = _end(tried[-LANES - 1], now)
    last = job.ended_at.timestamp() if job.ended_at else now
    scale = _Scale(start, max(last, *(_end(one, start) for one in drawn)) if drawn else last)
    lanes, before = [], start
    for one in drawn:
        live = one.number == job.attempt and not job.state.terminal
        lanes.append(_attempt(scale, one, before, now, silence if live else None))
        before = _end(one, now)
    if not tried or job.state is JobState.QUEUED:
        lanes.append(_waiting(scale, job, before, last, len(tried)))
    delays = _delays(job, drawn, entries, now) if drawn else []
    named = f"Delays of attempt {drawn[-1].number}" if drawn else ""
    return Picture(lanes, _ticks(scale), delays, named, scale.total, len(tried) - len(drawn))


def _end(attempt: AttemptView, default: float) -> float:
    return attempt.ended_at.timestamp() if attempt.ended_at else default


def _attempt(
    scale: _Scale, one: AttemptView, before: float, now: float, silence: float | None
) -> Lane:
    end = _end(one, now)
    offered = one.offered_at.timestamp()
    start = one.started_at.timestamp() if one.started_at else None
    words = attempt_words(one)
    lane = Lane(f"Attempt {one.number}", attempt_state(one), f"{one.agent}, {words}", "–")
    begun = offered if start is None else start
    lane.bars.append(scale.bar("wait", before, begun, "waited", "waited"))
    quiet = silence if one.ended_at is None else _lost_silence(one)
    heard = max(begun, end - quiet) if quiet else end
    if start is not None:
        verb = "ran" if one.ended_at else "runs"
        lane.bars.append(scale.bar("ran", start, heard, verb, verb))
        lane.long = duration(heard - start)
    if quiet:
        lane.bars.append(scale.bar("silent", heard, end, "silent for", "silent"))
    if one.ended_at:
        lane.mark = scale.at(end)
    return lane


def _lost_silence(one: AttemptView) -> float | None:
    """How long the agent had been silent when the attempt was given up."""
    found = _SILENT.search(one.end_detail) if one.state is AttemptState.LOST else None
    try:
        return parse_duration(found[1]) if found else None
    except ValueError:
        return None


def _waiting(scale: _Scale, job: JobView, since: float, until: float, tried: int) -> Lane:
    waits = job.state is JobState.QUEUED
    title = f"Attempt {tried + 1}" if tried else "No attempt yet" if waits else "Never started"
    state = "queued" if waits else str(job.state)
    long = duration(until - since)
    lane = Lane(title, state, f"queue {job.queue}", long)
    verb = "waits" if waits else "waited"
    lane.bars.append(scale.bar("wait", since, until, verb, verb))
    if not waits:
        lane.mark = scale.at(until)
    return lane


def _ticks(scale: _Scale) -> list[Tick]:
    step = next((step for step in _STEPS if scale.total / step <= _TICKS), _STEPS[-1])
    count = min(int(scale.total / step), _TICKS)
    ticks = [Tick(scale.at(scale.start + step * n), duration(step * n)) for n in range(count + 1)]
    ticks[0] = Tick(0.0, "0")
    return ticks


def _delays(
    job: JobView, drawn: list[AttemptView], entries: Sequence[TimelineEntry], now: float
) -> list[Delay]:
    one = drawn[-1]
    before = drawn[-2].ended_at if len(drawn) > 1 else job.created_at
    found = []
    offered = one.offered_at.timestamp()
    if before is not None:
        waited = max(0.0, offered - before.timestamp())
        found.append(Delay("Waited", waited, False, "wait"))
    at = offered
    if one.accepted_at:
        found.append(Delay("Accepted", max(0.0, one.accepted_at.timestamp() - at), True))
        at = one.accepted_at.timestamp()
    if one.started_at is None:
        return found
    started = one.started_at.timestamp()
    found.append(Delay("Started", max(0.0, started - at), True))
    first = [e for e in entries if e.attempt == one.number and e.what == "first_output"]
    if first:
        found.append(Delay("First output", max(0.0, first[-1].at.timestamp() - started), True))
    verb = "Ran" if one.ended_at else "Runs"
    found.append(Delay(verb, max(0.0, _end(one, now) - started), False, "ran"))
    return found
