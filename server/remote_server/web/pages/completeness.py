"""Whether all of a log is there, in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from remote_protocol.states import AttemptState
from remote_server.domain.model import Attempt
from remote_server.web.logs.lines import Place
from remote_server.web.pages.words import duration, many, number, size

_MOST_GAPS: Final = 3


@dataclass(frozen=True, slots=True)
class Completeness:
    """The line under a log. `state`: as `data-state` of pages, `icon` beside it."""

    state: str
    icon: str
    word: str
    says: tuple[str, ...]
    checksum: str = ""
    """CRC-32 of the whole log as it is stored, where both sides have the same."""
    end: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of a stored log."""

    size: int
    place: Place
    """Up to where its lines are counted."""
    gaps: tuple[tuple[int, int], ...] = ()
    silence: float | None = None
    """Seconds since the agent was heard; None: it is online."""


def completeness(attempt: Attempt, log: Stored) -> Completeness:
    """What is there, and what is not."""
    counted = _counted(attempt, log)
    whole = log.place.offset >= log.size
    both = f"stdout {number(log.place.out)} · stderr {number(log.place.err)}"
    end = both if whole and log.size else ""
    if attempt.state.live:
        if log.silence is not None:
            away = f"the agent {attempt.agent} has been silent for {duration(log.silence)}"
            says = (*counted, away, "what is on its disk will follow")
            return Completeness("stale", "stale", "not all here yet", says, end=end)
        return Completeness("online", "online", "live", counted, end=end)
    if attempt.state is AttemptState.LOST:
        lost = f"the attempt was lost with its agent {attempt.agent}, which may have more of it"
        says = (*counted, lost)
        return Completeness("stale", "stale", "not known to be complete", says, end=end)
    if attempt.log_size and not log.size:
        deleted = (f"it had {size(attempt.log_size)} and is not kept any more",)
        return Completeness("gap", "warn", "deleted", deleted)
    if attempt.log_complete:
        checksum = attempt.log_checksum
        crc = "" if checksum is None else f"{checksum:08x}"
        return Completeness("complete", "succeeded", "complete", counted, crc, end)
    return Completeness("gap", "warn", "incomplete", (*counted, *_missing(attempt, log)), end=end)


def _counted(attempt: Attempt, log: Stored) -> tuple[str, ...]:
    if not log.size:
        return ("nothing printed yet",) if attempt.state.live else ("it printed nothing",)
    if log.place.offset < log.size:
        done = 100 * log.place.offset // log.size
        return (f"counting lines, {done}\u00a0%", size(log.size))
    return (
        many(log.place.begun(), "line") + (" so far" if attempt.state.live else ""),
        size(log.size),
    )


def _missing(attempt: Attempt, log: Stored) -> list[str]:
    said = [
        f"{many(lost, 'byte')} missing after line {number(after)}"
        for after, lost in log.gaps[:_MOST_GAPS]
    ]
    if (more := len(log.gaps) - _MOST_GAPS) > 0:
        said.append(f"and {many(more, 'more gap')}")
    if log.size < attempt.log_size:
        said.append(f"{many(attempt.log_size - log.size, 'byte')} missing at its end")
    return said or ["it differs from what the agent reported"]
