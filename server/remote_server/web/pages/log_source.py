"""One attempt's log as pages show it: which one, how far it is counted, and its last lines.

Reads the store and logs. All of it takes little time and memory, however long the log is.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from pydantic import Field

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState
from remote_server.domain.model import Attempt, Job
from remote_server.logs import LogUnavailable
from remote_server.web.actions.logs import reader_of, stored_size
from remote_server.web.http.problems import not_found
from remote_server.web.logs.index import LineIndex
from remote_server.web.logs.lines import Line, LineCounter
from remote_server.web.logs.reading import LogReader
from remote_server.web.pages.completeness import Completeness, Stored, completeness
from remote_server.web.pages.job_words import attempt_state
from remote_server.web.route import Call, Query

COUNTING: Final = 0.25
"""Seconds for which one call counts lines; others run in between."""
_AT_ONCE: Final = 0.02
"""Seconds for which a page that is drawn counts lines."""
_EXCERPT: Final = 32 * 1024
_EXCERPT_LINES: Final = 40
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.?)", re.S)


class LogQuery(Query):
    """What of a log is meant."""

    attempt: int | None = Field(default=None, ge=1, lt=1 << 32)
    """Default: the last one."""
    stream: Literal["stdout", "stderr"] | None = None


@dataclass(frozen=True, slots=True)
class LogSource:
    """The log of one attempt."""

    call: Call
    job: Job
    attempts: tuple[Attempt, ...]
    attempt: Attempt

    @property
    def key(self) -> AttemptId:
        """Whose log it is."""
        return self.attempt.key

    @property
    def reader(self) -> LogReader:
        """What reads it."""
        return reader_of(self.call, self.key)

    @property
    def over(self) -> bool:
        """Whether nothing more is printed. A lost attempt may come back while its job goes on."""
        return self.attempt.state is AttemptState.ENDED or self.job.state.terminal

    async def size(self) -> int:
        """Bytes that are stored. LogUnavailable."""
        return await stored_size(self.call, self.key)

    def index(self, size: int, known: LineIndex | None = None) -> LineIndex:
        """Where its lines are."""
        return self.call.services.line_indexes.of(self.key, size, known)

    def completeness(self, size: int, index: LineIndex) -> Completeness:
        """What is there of it, in words."""
        silence = None
        if self.attempt.state.live:
            silence = self.call.services.sources.agents.status(self.attempt.agent).silence
        stored = Stored(size, index.place, tuple(index.gaps), silence)
        return completeness(self.attempt, stored)

    def status(self, size: int, index: LineIndex, stream: str | None) -> dict[str, Any]:
        """For the viewer: `rows` lines of the wanted stream or of both are counted up to the
        position `counted` of `size`."""
        place = index.place
        return {
            "attempt": self.attempt.number,
            "attempts": [[a.number, attempt_state(a)] for a in self.attempts],
            "rows": place.begun(stream),
            "lines": place.begun(),
            "size": size,
            # A viewer does not ask again for what is cut now.
            "counted": max(place.offset, min(index.looked, size)),
            "over": self.over,
            "whole": asdict(self.completeness(size, index)),
        }


async def log_source(call: Call, job_id: str, number: int | None = None) -> LogSource | None:
    """The log of an attempt, by default of the last one; None before the first. ApiProblem when
    there is no such job or attempt."""
    store = call.services.store
    job = await store.job(job_id)
    attempts = tuple(await store.attempts_of(job.id))
    wanted = number or job.attempt
    found = next((attempt for attempt in attempts if attempt.number == wanted), None)
    if found is None and number is not None:
        raise not_found(f"attempt of job {job.id}", str(number))
    return None if found is None else LogSource(call, job, attempts, found)


async def last_lines(reader: LogReader, size: int, most: int = _EXCERPT) -> list[Line]:
    """The last lines, of which nobody knows yet which numbers they have. LogUnavailable."""
    counter, lines = LineCounter(), dict[int, Line]()
    for part in counter.parts(await reader.last(size, most)):
        if part.begins:
            lines[part.number] = Line(part)
        else:
            lines[part.number].add(part)
    return [*lines.values()][-_EXCERPT_LINES:]


def plain(text: str) -> str:
    """A line without colours, as it was drawn last."""
    text = _ESCAPES.sub("", text) if "\x1b" in text else text
    return text.rstrip("\r").rpartition("\r")[2]


async def log_shown(call: Call, job_id: str, number: int | None = None) -> dict[str, Any]:
    """What `log.html` needs, as `log`: the attempts, the last lines as text, and whether all is
    there. A log that cannot be read now makes no page fail."""
    source = await log_source(call, job_id, number)
    if source is None:
        return {"source": None, "lines": [], "whole": None, "fault": ""}
    lines: list[tuple[str, str]] = []
    whole, fault = None, ""
    try:
        async with asyncio.timeout(2):
            size = await source.size()
            shown = [line.shown() for line in await last_lines(source.reader, size)]
            lines = [(str(line["s"]), plain(str(line.get("y", line["x"])))) for line in shown]
            index = source.index(size)
            await index.count(source.reader, size, _AT_ONCE)
            whole = source.completeness(size, index)
    except (LogUnavailable, TimeoutError) as error:
        fault = str(error) or "it could not be read in time"
    return {
        "source": source,
        "attempts": [(a.number, attempt_state(a)) for a in source.attempts],
        "lines": lines,
        "whole": whole,
        "fault": fault,
    }
