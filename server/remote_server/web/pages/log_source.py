"""One attempt's log as pages show it: which one, how far it is counted, and its last lines.

Reads the store and logs. All of it takes little time and memory, however long the log is.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict
from typing import Any, Final

from remote_server.logs import LogUnavailable
from remote_server.web.actions.log_lines import AttemptLog, attempt_log, last_lines
from remote_server.web.logs.index import LineIndex
from remote_server.web.pages.completeness import Completeness, Stored, completeness
from remote_server.web.pages.job_words import attempt_state
from remote_server.web.route import Call

_AT_ONCE: Final = 0.02
"""Seconds for which a page that is drawn counts lines."""
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.?)", re.S)


class LogSource(AttemptLog):
    """The log of one attempt, with what pages say of it."""

    __slots__ = ()

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
    log = await attempt_log(call, job_id, number)
    return None if log is None else LogSource(call, log.job, log.attempts, log.attempt)


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
