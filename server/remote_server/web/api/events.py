"""`GET /events`: every change of a job's state, as ndjson or SSE, resumable by number."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from remote_protocol.ids import Name
from remote_protocol.states import JobState
from remote_server.queries.views import change_json
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.actions.stream import MEDIA, Slice, Source, StreamQuery, stream
from remote_server.web.followers import TIMELINE
from remote_server.web.route import Call, Route

_PAGE: Final = 200
_MOST_LISTED: Final = 64
"""Values of one parameter."""


class EventsQuery(StreamQuery):
    """The query of `GET /events`; all that is given must hold."""

    queue: list[Name] = Field(default_factory=list, max_length=_MOST_LISTED)
    """Of jobs in any of these."""
    state: list[JobState] = Field(default_factory=list, max_length=_MOST_LISTED)
    """To any of these."""


@Route(
    "GET",
    "/api/v1/events",
    QUEUE_VIEWER,
    query=EventsQuery,
    media=MEDIA,
    headers=("Last-Event-ID",),
    lasting=True,
    operation="stream_events",
)
async def events(call: Call) -> web.StreamResponse:
    """Every change of a job's state; resumes after `after` or Last-Event-ID.

    An event `gap` says that changes are kept no longer, and after which number it goes on.
    """
    store = call.services.store
    query = call.query(EventsQuery)
    within = query.queue or None

    async def read(after: int) -> Slice:
        page = await store.events_page(after, _PAGE, within, query.state)
        records = [(event.seq, change_json(event)) for event in page.events]
        return Slice(records, page.upto, page.forgotten, page.last, page.full)

    source = Source("events", TIMELINE, store.last_seq, read)
    return await stream(call, query, source)
