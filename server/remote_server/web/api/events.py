"""`GET /events`: every change of a job's state, as ndjson or SSE, resumable by number."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web
from pydantic import Field

from remote_server.domain.model import TimelineEvent
from remote_server.queries.views import timeline_json
from remote_server.store.history import EventsPage
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.followers import TIMELINE, wait
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
from remote_server.web.route import Call, Query, Route

_PAGE = 200


class EventsQuery(Query):
    """The query of `GET /events`."""

    after: int | None = Field(default=None, ge=-1, lt=1 << 62)
    """Number of the last event seen; 0, the default: from the first one kept; -1: only what
    happens from now on."""
    follow: bool | None = None
    """Go on with what happens next; default: yes for SSE, no for ndjson."""


@Route(
    "GET",
    "/api/v1/events",
    QUEUE_VIEWER,
    query=EventsQuery,
    media=(NDJSON, SSE),
    headers=("Last-Event-ID",),
    lasting=True,
    operation="stream_events",
)
async def events(call: Call) -> web.StreamResponse:
    """Every change of a job's state; resumes after `after` or Last-Event-ID.

    An event `gap` says that changes are kept no longer, and after which number it goes on.
    """
    query = call.query(EventsQuery)
    services = call.services
    media = accepted(call.request, (NDJSON, SSE))
    follow = media == SSE if query.follow is None else query.follow
    resumed = last_event_id(call.request)
    after = resumed if resumed is not None else query.after or 0
    if after == -1:
        after = await services.store.last_seq()
    stream = Stream(call, media)
    turn = services.streams.turns.of(call.token.id)
    # Whoever begins with the first event that is kept is told of no gap before it.
    kept_from = 0 if after else None
    with services.followers.follow(TIMELINE) as changed:
        await stream.open()
        written = time.monotonic()
        if media == SSE:
            await stream.write(b": events\n\n")
        while True:
            changed.clear()
            while True:
                async with turn:
                    # A turn is over when the loop has turned: others get theirs.
                    page = await services.store.events_page(after, _PAGE)
                    text = _text(page.events, media)
                    await asyncio.sleep(0)
                if kept_from is None:
                    kept_from = page.forgotten
                following = _after_gap(after, page, kept_from)
                if following is not None:
                    await stream.event("gap", {"after": after, "next": following})
                    after = kept_from = following
                    continue
                if page.upto == after:
                    break
                after = page.upto
                if text:
                    await stream.write(text.encode())
                    written = time.monotonic()
            if not follow:
                await stream.event("end", {"after": after})
                return await stream.close()
            if services.followers.closing:
                raise ClientGone("the server stops")
            # What happens may be none of the reader's, who has to see that the stream lives.
            silence = time.monotonic() - written
            if not await wait(changed, KEEP_ALIVE - silence):
                await stream.keep_alive()
                written = time.monotonic()


def _after_gap(after: int, page: EventsPage, kept_from: int) -> int | None:
    """After which number a reader who has come to `after` can go on, when events may be missing to
    him: they are kept no longer, or an older copy of the database is in use. None: none is."""
    if page.forgotten > max(after, kept_from):
        return page.forgotten
    return page.last if after > page.last else None


def _text(entries: list[TimelineEvent], media: str) -> str:
    if media == SSE:
        return "".join(sse(timeline_json(entry), entry.seq) for entry in entries)
    return "".join(f"{timeline_json(entry)}\n" for entry in entries)
