"""`GET /jobs/{id}/log`: one attempt's log from any position, then its tail. Reads logs.

One path serves replay and tail: look whether the attempt has ended, send what is there, wait for
more. Because the end is looked up before the length, nothing can come between the two (I5: an
attempt is committed as ended only when its log is complete).
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Final, Literal, Self

from aiohttp import web
from pydantic import Field, model_validator

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.model import Job
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.actions.logs import OVER, attempt_of, is_over, may_be_packed, stored_size
from remote_server.web.followers import wait
from remote_server.web.http.frames import (
    CRI,
    KEEP_ALIVE,
    NDJSON,
    SSE,
    TEXT,
    ClientGone,
    Stream,
    accepted,
)
from remote_server.web.http.headers import last_event_id
from remote_server.web.http.problems import not_found, validation
from remote_server.web.http.time_bounds import TimeBound, parse_time_bound
from remote_server.web.logs.forms import Form, Plain, Raw, Records
from remote_server.web.logs.start import STREAMS, Starts, last_lines, since
from remote_server.web.logs.tail import Collected, Tail
from remote_server.web.route import Call, Query, Route

_MEDIA: Final = (TEXT, NDJSON, SSE, CRI)
_MEASURED: Final = 256 << 20
"""Bytes of a stored log up to which an answer without an end mark gets a length: it has to be
gone through twice."""
_COLLECTED: Final = Plain.piece
"""Bytes of a stored log up to which it is gone through once, and kept until it is sent: no more
than whoever sends a large one keeps."""


class LogQuery(Query):
    """The query of a log."""

    attempt: int | None = Field(default=None, ge=1, lt=1 << 32)
    """Default: the last one."""
    stream: Literal["stdout", "stderr"] | None = None
    follow: bool = False
    """Go on until the attempt has ended and all of it was sent."""
    offset: int = Field(default=0, ge=0, lt=1 << 62)
    """text/plain: bytes of the answer to leave out; otherwise a position in the stored log."""

    tail: int | None = Field(default=None, ge=0, le=100_000)
    """Only the last lines, of the wanted stream or of both; with `follow` also what comes."""
    since: TimeBound | None = None
    """Only what was written then or later: a time, or a duration before now."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.offset and (self.tail is not None or self.since is not None):
            raise ValueError("give an offset, or tail and since: both say where to start")
        return self


@Route(
    "GET",
    "/api/v1/jobs/{id}/log",
    QUEUE_VIEWER,
    query=LogQuery,
    media=_MEDIA,
    headers=("Last-Event-ID",),
    lasting=True,
    gives=("Remote-Attempt", "Remote-Log-Size", "Remote-Log-Over"),
)
async def log(call: Call) -> web.StreamResponse:
    """The log of a job's attempt, live with follow=true."""
    query = call.query(LogQuery)
    media = accepted(call.request, _MEDIA)
    if media == CRI and query.stream:
        raise validation([("stream", f"cannot be chosen with {CRI}: the stored log has both")])
    job = await call.services.store.job(call.path("id"))
    if query.attempt is not None and query.attempt > job.attempt:
        # A lost one that came back (`keep_first`) is current again; its replacement's log stays.
        replaced = await attempt_of(call, AttemptId(job.id, query.attempt))
        if replaced is None or replaced.state not in OVER:
            raise not_found(f"attempt of job {job.id}", str(query.attempt))
    view = _View(call, query, media)
    if query.follow:
        return await _follow(view, job)
    return await view.once(job)


class _View:
    """One look at a log: who, what of it, in which form."""

    def __init__(self, call: Call, query: LogQuery, media: str) -> None:
        self.call = call
        self.query = query
        self.media = media
        self.resumed = last_event_id(call.request) if media == SSE else None

    def form(self) -> Form:
        """A new instance of its form, which may count on what it is fed."""
        if self.media == CRI:
            return Raw()
        if self.media == TEXT:
            return Plain(self.query.stream, self.query.offset)
        return Records(self.query.stream, self.media == SSE)

    async def tail(self, key: AttemptId) -> Tail:
        """Where it begins in the log of an attempt."""
        services, query = self.call.services, self.query
        turn = services.streams.turns.of(self.call.token.id)
        packed = partial(may_be_packed, self.call, key)
        if self.resumed is None and (query.tail is not None or query.since is not None):
            return Tail(services.logs, key, turn, packed, starts=await self._starts(key))
        offset = query.offset if self.resumed is None else self.resumed
        return Tail(services.logs, key, turn, packed, 0 if self.media == TEXT else offset)

    async def _starts(self, key: AttemptId) -> Starts:
        logs, query = self.call.services.logs, self.query
        size, least, starts = await stored_size(self.call, key), 0, dict.fromkeys(STREAMS, 0)
        if query.since is not None:
            least = await since(logs, key, size, parse_time_bound(query.since, time.time()))
        if query.tail is not None:
            starts = await last_lines(logs, key, size, query.tail, query.stream)
        return {stream: max(start, least) for stream, start in starts.items()}

    async def once(self, job: Job) -> web.StreamResponse:
        """What is there now."""
        number = self.query.attempt or job.attempt
        headers = _headers(number)
        if not number:
            stream = Stream(self.call, self.media, headers)
            await stream.open()
            await _end(self.call, stream, job.id, 0, 0)
            return await stream.close()
        key = AttemptId(job.id, number)
        if self.media == CRI:
            headers |= await _so_far(self.call, key)
        # What comes from now on is not waited for: the answer has an end, and a length.
        size = await stored_size(self.call, key)
        tail = await self.tail(key)
        collected = await self._measured(key, size)
        length = None if collected is None else collected.size
        stream = Stream(self.call, self.media, headers, length)
        await stream.open()
        if collected is not None and (whole := collected.whole) is not None:
            await stream.write(whole)
        else:
            await tail.drain(self.form(), stream, size)
        await _end(self.call, stream, job.id, number, tail.offset)
        return await stream.close()

    async def _measured(self, key: AttemptId, size: int) -> Collected | None:
        """How long the answer will be, where its form says nothing at its end. A hop that speaks
        HTTP/1.0 makes an answer without a length one that may end anywhere."""
        if self.media not in (TEXT, CRI) or size > _MEASURED:
            return None
        # Of a larger log nothing is kept while it is measured: many may do so at a time.
        collected = Collected(_COLLECTED if size <= _COLLECTED else 0)
        tail = await self.tail(key)
        await tail.drain(self.form(), collected, size)
        return collected


def _headers(attempt: int) -> dict[str, str]:
    return {"Remote-Attempt": str(attempt)}


async def _so_far(call: Call, key: AttemptId) -> dict[str, str]:
    """What is stored now, in a head: a proxy that is cut off may end the answer in good order.

    Whether more will come is looked up before the size, so that the two never mean a log that is
    over and still grows.
    """
    over = await is_over(call, key)
    size = await stored_size(call, key)
    return {"Remote-Log-Over": str(over).lower(), "Remote-Log-Size": str(size)}


async def _end(call: Call, stream: Stream, job: str, number: int, offset: int) -> None:
    """Say that this is the end, and of what: an answer may be cut in good order."""
    found = await call.services.store.job(job)
    attempt = await attempt_of(call, AttemptId(job, number)) if number else None
    values: dict[str, object] = {
        "attempt": number,
        "state": found.state.value,
        "offset": offset,
        "over": found.state.terminal if attempt is None else attempt.state in OVER,
    }
    if attempt is not None and attempt.log_complete:
        values |= {"size": attempt.log_size, "checksum": attempt.log_checksum}
    await stream.event("end", values)


async def _follow(view: _View, job: Job) -> web.StreamResponse:
    call, media, number = view.call, view.media, view.query.attempt
    with call.services.followers.follow(job.id) as job_changed:
        job = await call.services.store.job(job.id)
        stream: Stream | None = None
        while not (number or job.attempt) and not job.state.terminal:
            if stream is None and media in (SSE, NDJSON):
                stream = Stream(call, media)
                await stream.open()
            await _job_change(call, job_changed, stream)
            job_changed.clear()
            job = await call.services.store.job(job.id)
        attempt = number or job.attempt
        if stream is None:
            stream = Stream(call, media, _headers(attempt))
            await stream.open()
        elif attempt:
            # The head is gone: whoever resumes must know which attempt it was.
            await stream.event("attempt", {"attempt": attempt})
        offset = 0
        if attempt:
            offset = await _tail(view, AttemptId(job.id, attempt), stream, job_changed)
        # A browser would come back for ever otherwise.
        await _end(call, stream, job.id, attempt, offset)
        return await stream.close()


async def _job_change(call: Call, job_changed: asyncio.Event, stream: Stream | None) -> None:
    """Wait for a change of the job; look after the client meanwhile."""
    if call.services.followers.closing:
        raise ClientGone("the server stops")
    if not await wait(job_changed, KEEP_ALIVE):
        if stream is not None:
            await stream.keep_alive()
        elif (transport := call.request.transport) is None or transport.is_closing():
            raise ClientGone("the client has left")


async def _tail(view: _View, key: AttemptId, stream: Stream, job_changed: asyncio.Event) -> int:
    """Send the log until the attempt is over and all of it was sent; the position after it."""
    call = view.call
    tail, form = await view.tail(key), view.form()
    log_changed = asyncio.Event()
    with call.services.logs.follow(key, log_changed):
        over = await is_over(call, key)
        while True:
            log_changed.clear()
            await tail.drain(form, stream)
            if over:
                return tail.offset
            if await _either(call, log_changed, job_changed, stream):
                job_changed.clear()
                over = await is_over(call, key)


async def _either(call: Call, log: asyncio.Event, job: asyncio.Event, stream: Stream) -> bool:
    """Wait for more of the log or a change of the job; whether the job has changed."""
    if call.services.followers.closing:
        raise ClientGone("the server stops")
    if not job.is_set() and not log.is_set():
        waits = {asyncio.ensure_future(event.wait()) for event in (log, job)}
        try:
            done, _ = await asyncio.wait(
                waits, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in waits:
                task.cancel()
        if not done:
            await stream.keep_alive()
    return job.is_set()
