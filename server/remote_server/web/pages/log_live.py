"""A log as it grows, for the viewer: at most four times a second how much there is, and the last
lines that are new. What came between them the viewer asks for when somebody looks at it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from aiohttp import web

from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.actions.log_lines import COUNTING, LogQuery, last_lines
from remote_server.web.followers import wait
from remote_server.web.http.frames import SSE, ClientGone, Stream, sse
from remote_server.web.http.headers import last_event_id
from remote_server.web.http.problems import not_found
from remote_server.web.logs.index import LineIndex
from remote_server.web.pages.log_source import LogSource, log_source
from remote_server.web.route import Call, Route

_SHORTEST: Final = 0.25
"""Seconds between two events, however much is printed."""
_LONGEST: Final = 5.0
"""Seconds after which it looks again, however little: agents fall silent, too."""
_MOST_LINES: Final = 120


@Route(
    "GET",
    "/jobs/{id}/log/live",
    QUEUE_VIEWER,
    page=True,
    query=LogQuery,
    media=(SSE,),
    headers=("Last-Event-ID",),
    lasting=True,
)
async def live_log(call: Call) -> web.StreamResponse:
    """Events `log`, each with the number of the last line that was sent, and `end`."""
    query = call.query(LogQuery)
    source = await log_source(call, call.path("id"), query.attempt)
    if source is None:
        raise not_found("log of job", call.path("id"))
    followers, changed = call.services.followers, asyncio.Event()
    stream = Stream(call, SSE)
    with (
        followers.follow(source.job.id) as job_changed,
        call.services.logs.follow(source.key, changed),
    ):
        await stream.open()
        tail = _LiveTail(query.stream, last_event_id(call.request) or 0)
        while True:
            changed.clear()
            job_changed.clear()
            # Its end is looked up before its length, so that nothing comes between the two.
            source = await log_source(call, source.job.id, source.attempt.number)
            if source is None:
                raise ClientGone("the attempt is no more")
            values, counted = await tail.look(source)
            if values is None:
                await stream.keep_alive()
            else:
                data = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
                await stream.write(sse(data, tail.sent, "log").encode())
            # Until then there may be another attempt, which the viewer shows beside this one.
            if source.job.state.terminal and counted:
                await stream.event("end", {})
                return await stream.close()
            if not counted:
                continue
            await asyncio.sleep(_SHORTEST)
            await _either(changed, job_changed)
            if followers.closing:
                raise ClientGone("the server stops")


async def _either(log: asyncio.Event, job: asyncio.Event) -> None:
    """Wait until one of them is set, or for a while."""
    if log.is_set() or job.is_set():
        return
    waits = [asyncio.ensure_future(wait(event, _LONGEST)) for event in (log, job)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()


class _LiveTail:
    """What one viewer was sent."""

    def __init__(self, stream: str | None, sent: int) -> None:
        self.sent = sent
        """Number of the last line that was sent."""
        self._stream = stream
        self._index: LineIndex | None = None
        self._open: dict[int, int] = {}
        """Lines that had no end when they were sent, and how long they were."""
        self._last: dict[str, Any] = {}

    async def look(self, source: LogSource) -> tuple[dict[str, Any] | None, bool]:
        """What to send, None when nothing is new; and whether all lines are counted."""
        size, reader = await source.size(), source.reader
        index = source.index(size, self._index)
        anew = self._index is not None and index is not self._index
        first, self._index = self._index is None, index
        await index.count(reader, size, COUNTING)
        # What a record that is cut now says is counted when more of it comes: nobody waits for it.
        counted = index.looked >= size
        # A viewer that comes back may know a log that was begun anew meanwhile.
        anew = anew or (counted and self.sent > index.place.begun())
        if anew:
            self.sent, self._open = 0, {}
        values = source.status(size, index, self._stream)
        if anew:
            values["anew"] = True
        if counted:
            values["found"] = await self._new(source, index)
        elif first and not self.sent:
            found = await last_lines(reader, size)
            values["ending"] = [{**line.shown(), "n": 0, "k": 0} for line in found]
        if values == {**self._last, "found": []}:
            return None, counted
        self._last = values
        return values, counted

    async def _new(self, source: LogSource, index: LineIndex) -> list[dict[str, object]]:
        """The last lines that were not sent yet, and those that went on."""
        reader, end = source.reader, index.place.begun()
        first = max(self.sent + 1, end - _MOST_LINES + 1)
        lines = {}
        still = {line.part.number: line for line in index.unfinished}
        for number in self._open.keys() | still.keys():
            line = still.get(number)
            if line is None:
                found = await index.lines(reader, number, 1, by_number=True)
                line = found[0] if found else None
            if line is not None and (line.size != self._open.get(number) or line.ends):
                lines[number] = line
        if first <= end:
            count = end - first + 1
            for line in await index.lines(reader, first, count, self._stream, by_number=True):
                lines[line.part.number] = line
        self.sent = end
        self._open = {number: line.size for number, line in still.items()}
        return [
            line.shown()
            for _, line in sorted(lines.items())
            if self._stream in (None, line.part.stream)
        ]
