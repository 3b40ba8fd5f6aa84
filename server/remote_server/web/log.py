"""`GET /jobs/{id}/log`: one attempt's log from any position, then its tail. Reads log files.

One path serves replay and tail: look whether the attempt has ended, send what is there, wait for
more. Because the end is looked up before the length, nothing can come between the two (I5: an
attempt is committed as ended only when its log is complete).
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from aiohttp import web
from pydantic import Field

from remote_protocol import cri
from remote_protocol.states import AttemptState
from remote_server.domain.model import Attempt, Job, Key
from remote_server.web.door import VIEWER
from remote_server.web.frames import (
    CRI,
    KEEP_ALIVE,
    NDJSON,
    SSE,
    TEXT,
    ClientGone,
    Stream,
    accepted,
    sse,
)
from remote_server.web.headers import last_event_id
from remote_server.web.log_forms import Form, Plain, Raw, Records
from remote_server.web.problems import not_found, validation
from remote_server.web.route import Call, Query, Route
from remote_server.web.wakes import wait

_MEDIA: Final = (TEXT, NDJSON, SSE, CRI)
_OVER: Final = frozenset({AttemptState.ENDED, AttemptState.LOST})
_LARGEST_RECORD: Final = 8 * 1024 * 1024
"""A longer line without an end is damage: it is shown as far as it goes, not waited for."""


class LogQuery(Query):
    """The query of a log."""

    attempt: int | None = Field(default=None, ge=1, lt=1 << 32)
    """Default: the last one."""
    stream: Literal["stdout", "stderr"] | None = None
    follow: bool = False
    """Go on until the attempt has ended and all of it was sent."""
    offset: int = Field(default=0, ge=0, lt=1 << 62)
    """text/plain: bytes of the answer to leave out; otherwise a position in the stored log."""


async def log(call: Call) -> web.StreamResponse:
    """`GET /jobs/{id}/log`."""
    query = call.query(LogQuery)
    media = accepted(call.request, _MEDIA)
    if media == CRI and query.stream:
        raise validation([("stream", f"cannot be chosen with {CRI}: the stored log has both")])
    job = await call.services.store.job(call.path("id"))
    if query.attempt is not None and query.attempt > job.attempt:
        # A lost one that came back (`keep_first`) is current again; its replacement's log stays.
        replaced = await _attempt(call, Key(job.id, query.attempt))
        if replaced is None or replaced.state not in _OVER:
            raise not_found(f"attempt of job {job.id}", str(query.attempt))
    resumed = last_event_id(call.request) if media == SSE else None
    start = 0 if media == TEXT else query.offset if resumed is None else resumed
    form: Form
    if media == CRI:
        form = Raw()
    elif media == TEXT:
        form = Plain(query.stream, query.offset)
    else:
        form = Records(query.stream, media == SSE)
    if not query.follow:
        attempt = query.attempt or job.attempt
        headers = _headers(attempt)
        if media == CRI and attempt:
            headers |= await _so_far(call, Key(job.id, attempt))
        stream = Stream(call, media, headers)
        await stream.open()
        if attempt:
            await _Tail(call, Key(job.id, attempt), form, start).drain(stream)
        return await stream.close()
    return await _follow(call, job, query.attempt, form, start, media)


def _headers(attempt: int) -> dict[str, str]:
    return {"Remote-Attempt": str(attempt)}


async def _so_far(call: Call, key: Key) -> dict[str, str]:
    """What is stored now, in a head: a proxy that is cut off may end the answer in good order.

    Whether more will come is looked up before the size, so that the two never mean a log that is
    over and still grows.
    """
    over = await _is_over(call, key)
    return {
        "Remote-Log-Over": str(over).lower(),
        "Remote-Log-Size": str(call.services.logs.length(key)),
    }


async def _follow(
    call: Call, job: Job, number: int | None, form: Form, start: int, media: str
) -> web.StreamResponse:
    wakes = call.services.wakes
    with wakes.follow(job.id) as news:
        job = await call.services.store.job(job.id)
        stream: Stream | None = None
        while not (number or job.attempt) and not job.state.terminal:
            if stream is None and media == SSE:
                stream = Stream(call, media)
                await stream.open()
            await _news(call, news, stream)
            news.clear()
            job = await call.services.store.job(job.id)
        attempt = number or job.attempt
        if stream is None:
            stream = Stream(call, media, _headers(attempt))
            await stream.open()
        if attempt:
            await _tail(call, Key(job.id, attempt), form, start, stream, news)
        if media == SSE:
            # A browser would come back for ever otherwise.
            job = await call.services.store.job(job.id)
            ending = f'{{"attempt":{attempt},"state":"{job.state}"}}'
            await stream.write(sse(ending, event="end").encode())
        return await stream.close()


async def _news(call: Call, news: asyncio.Event, stream: Stream | None) -> None:
    """Wait for news; look after the client meanwhile."""
    if call.services.wakes.closing:
        raise ClientGone("the server stops")
    if not await wait(news, KEEP_ALIVE):
        if stream is not None:
            await stream.keep_alive()
        elif (transport := call.request.transport) is None or transport.is_closing():
            raise ClientGone("the client has left")


async def _tail(
    call: Call, key: Key, form: Form, start: int, stream: Stream, news: asyncio.Event
) -> None:
    """Send the log from `start` on until the attempt is over and all of it was sent."""
    tail = _Tail(call, key, form, start)
    changed = asyncio.Event()
    with call.services.logs.follow(key, changed):
        over = await _is_over(call, key)
        while True:
            changed.clear()
            await tail.drain(stream)
            if over:
                return
            if await _either(call, changed, news, stream):
                news.clear()
                over = await _is_over(call, key)


async def _either(call: Call, log: asyncio.Event, news: asyncio.Event, stream: Stream) -> bool:
    """Wait for more log or for news of the job; whether there is news."""
    if call.services.wakes.closing:
        raise ClientGone("the server stops")
    if not news.is_set() and not log.is_set():
        waits = {asyncio.ensure_future(event.wait()) for event in (log, news)}
        try:
            done, _ = await asyncio.wait(
                waits, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in waits:
                task.cancel()
        if not done:
            await stream.keep_alive()
    return news.is_set()


async def _is_over(call: Call, key: Key) -> bool:
    """Whether nothing more will come to the attempt's log."""
    attempt = await _attempt(call, key)
    if attempt is None or attempt.state in _OVER:
        return True
    # A withdrawn attempt's number is used again, unless the job has ended without it.
    return not attempt.state.live and (await call.services.store.job(key.job)).state.terminal


async def _attempt(call: Call, key: Key) -> Attempt | None:
    attempts = await call.services.store.attempts_of(key.job)
    return next((attempt for attempt in attempts if attempt.number == key.attempt), None)


class _Tail:
    """A position in a stored log that moves on as pieces are sent."""

    def __init__(self, call: Call, key: Key, form: Form, offset: int) -> None:
        self._logs = call.services.logs
        self._key = key
        self._form = form
        self._offset = offset
        self._aligned = form.cut or offset == 0

    async def drain(self, stream: Stream) -> None:
        """Send everything that has arrived; others run between the pieces."""
        size = self._form.piece
        while data := self._piece(size):
            if not self._form.cut:
                whole = cri.complete(data)
                if not whole and len(data) < size:
                    return
                if not whole and size < _LARGEST_RECORD:
                    size *= 2
                    continue
                data = data[: whole or len(data)]
            size = self._form.piece
            offset, self._offset = self._offset, self._offset + len(data)
            await stream.write(self._form.feed(data, offset))
            await asyncio.sleep(0)

    def _piece(self, size: int) -> bytes:
        while not self._aligned:
            # Perhaps inside a record: its rest is not shown.
            before = self._logs.read(self._key, self._offset - 1, size)
            end = before.find(b"\n")
            if end < 0 and len(before) < size:
                return b""
            self._aligned = end >= 0
            self._offset += end if self._aligned else len(before)
        return self._logs.read(self._key, self._offset, size)


ROUTES = (
    Route(
        "GET",
        "/api/v1/jobs/{id}/log",
        log,
        "The log of a job's attempt, live with follow=true",
        VIEWER,
        query=LogQuery,
        media=_MEDIA,
        headers=("Last-Event-ID",),
        lasting=True,
    ),
)
