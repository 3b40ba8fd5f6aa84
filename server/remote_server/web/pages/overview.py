"""The overview: what the fleet does now."""

from __future__ import annotations

from aiohttp import web

from remote_protocol.spec import DEFAULT_QUEUE
from remote_protocol.states import JobState
from remote_server.queries.agents import agent_views
from remote_server.queries.jobs import job_views
from remote_server.queries.queues import queue_views
from remote_server.store import JobFilter
from remote_server.web.access import VIEWER
from remote_server.web.pages.rendering import PageShown, render
from remote_server.web.route import Call, Route

_LATEST = 5


@Route("GET", "/", VIEWER, page=True, query=PageShown)
async def overview(call: Call) -> web.StreamResponse:
    """Agents, queues and jobs at a glance."""
    call.query(PageShown)
    store, sources = call.services.store, call.services.sources
    agents = await agent_views(sources, await store.agents())
    failed, _ = await store.jobs(
        JobFilter(states=frozenset({JobState.FAILED})), limit=_LATEST, cursor=None
    )
    return render(
        call,
        "overview.html",
        default=DEFAULT_QUEUE,
        agents=agents,
        queues=await queue_views(sources, await store.queues()),
        failures=await job_views(sources, failed, values_shown=False),
    )
