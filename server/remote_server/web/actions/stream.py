"""Long answers of what is numbered and goes on: events, the audit. As ndjson or SSE, resumable.

What comes is read in slices, one reader of a token after the other, and written while the client
takes it. Who follows is told of the first few things at once, and of a flood some times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from aiohttp import web
from pydantic import Field

from remote_server.web.followers import wait
from remote_server.web.http.frames import (
    KEEP_ALIVE,
    NDJSON,
    SSE,
    ClientGone,
    Stream,
    accepted,
    sse,
)
from remote_server.web.http.headers import last_event_id
from remote_server.web.route import Call, Query

MEDIA: Final = (NDJSON, SSE)
"""What such an answer can be."""
ONLY_NEW: Final = -1
PAUSE: Final = 0.02
"""Seconds between two looks of one reader while much happens: each look costs the server as much as
what it finds, and has what could share a commit be committed."""
AT_ONCE: Final = 5
"""Looks one right after the other before they are spaced: who follows one job waits for none."""


class StreamQuery(Query):
    """The query of such a call."""

    after: int | None = Field(default=None, ge=ONLY_NEW, lt=1 << 62)
    """Number of the last one seen; 0, the default: from the first one kept; -1: only what happens
    from now on."""
    follow: bool | None = None
    """Go on with what happens next; default: yes for SSE, no for ndjson."""


class Slice(NamedTuple):
    """What comes after a number."""

    records: list[tuple[int, str]]
    """The number of each, and its JSON on one line."""
    upto: int
    """What follows begins after this number; the number that was asked for: there is no more."""
    forgotten: int = 0
    """Some up to this number are kept no longer."""
    last: int | None = None
    """The largest number that is in use, where readers may be ahead of it (a restored database)."""
    more: bool = True
    """Whether there may be more already."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the records come from."""

    name: str
    topic: str
    """Of `Followers`: it changes when there is more."""
    last: Callable[[], Awaitable[int]]
    """The largest number there has been."""
    read: Callable[[int], Awaitable[Slice]]
    """A slice of what comes after a number."""


async def stream(call: Call, query: StreamQuery, source: Source) -> web.StreamResponse:
    """Everything after `after` or Last-Event-ID, and what comes, until the client leaves.

    ClientGone when it has, or when the server stops.
    """
    media = accepted(call.request, MEDIA)
    follow = media == SSE if query.follow is None else query.follow
    resumed = last_event_id(call.request)
    after = resumed if resumed is not None else query.after or 0
    if after == ONLY_NEW:
        after = await source.last()
    services = call.services
    with services.followers.follow(source.topic) as changed:
        writer = _Writer(call, source, Stream(call, media), after)
        await writer.open()
        spacing = Spacing()
        while True:
            changed.clear()
            await writer.write_all()
            if not follow:
                return await writer.close()
            if services.followers.closing:
                raise ClientGone("the server stops")
            # What happens may be nothing for this reader, who has to see that the stream lives.
            if not await wait(changed, KEEP_ALIVE - writer.silence):
                await writer.keep_alive()
            elif (rest := spacing.rest(time.monotonic())) > 0:
                await asyncio.sleep(rest)


class Spacing:
    """Spaces the looks of one reader. Seconds of a clock that only grows."""

    def __init__(self) -> None:
        self._due = 0.0
        """When the next look would be, were all of them a pause apart."""

    def rest(self, now: float) -> float:
        """How long to wait with the next look; not above zero: not at all."""
        self._due = max(self._due, now) + PAUSE
        return self._due - AT_ONCE * PAUSE - now


class _Writer:
    """Writes one answer, and knows how far it is."""

    def __init__(self, call: Call, source: Source, answer: Stream, after: int) -> None:
        self._turn = call.services.streams.turns.of(call.token.id)
        self._source = source
        self._answer = answer
        self._after = after
        # Whoever begins with the first one that is kept is told of no gap before it.
        self._kept_from = 0 if after else None
        self._written = time.monotonic()

    @property
    def silence(self) -> float:
        """Seconds since something was written."""
        return time.monotonic() - self._written

    async def open(self) -> None:
        """Send the head, and to a browser something that shows that the stream is open."""
        await self._answer.open()
        if self._answer.media == SSE:
            await self._answer.write(f": {self._source.name}\n\n".encode())

    async def write_all(self) -> None:
        """Write what there is after what was written."""
        while True:
            async with self._turn:
                # A turn is over when the loop has turned: others get theirs.
                found = await self._source.read(self._after)
                text = _text(found.records, self._answer.media)
                await asyncio.sleep(0)
            if self._kept_from is None:
                self._kept_from = found.forgotten
            following = _after_gap(self._after, found, self._kept_from)
            if following is not None:
                await self._answer.event("gap", {"after": self._after, "next": following})
                self._after = self._kept_from = following
                continue
            if found.upto == self._after:
                return
            self._after = found.upto
            if text:
                await self._answer.write(text.encode())
                self._written = time.monotonic()
            if not found.more:
                return

    async def keep_alive(self) -> None:
        """Show that the stream lives."""
        await self._answer.keep_alive()
        self._written = time.monotonic()

    async def close(self) -> web.StreamResponse:
        """Say that this is all, and up to where."""
        await self._answer.event("end", {"after": self._after})
        return await self._answer.close()


def _after_gap(after: int, found: Slice, kept_from: int) -> int | None:
    """After which number a reader who has come to `after` can go on, when some may be missing to
    him: they are kept no longer, or an older copy of the database is in use. None: none is."""
    if found.forgotten > max(after, kept_from):
        return found.forgotten
    return found.last if found.last is not None and after > found.last else None


def _text(records: list[tuple[int, str]], media: str) -> str:
    if media == SSE:
        return "".join(sse(text, number) for number, text in records)
    return "".join(f"{text}\n" for _, text in records)
