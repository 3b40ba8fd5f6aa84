"""Queues: all of them, one, and what can be done with them."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_protocol.parts import Comment
from remote_protocol.quantities import Duration, Size
from remote_protocol.states import JobState
from remote_server.queries.jobs import job_views
from remote_server.queries.queues import queue_views
from remote_server.store import JobFilter
from remote_server.web.access import ADMIN, OPERATOR, QUEUE_VIEWER
from remote_server.web.actions.queues import change_queue
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages.agents import agent_rows
from remote_server.web.pages.rendering import PageShown, as_faults, go, render
from remote_server.web.route import Call, PageForm, Route

_SHOWN = 20
"""Jobs that the page of a queue shows."""
_AGENTS_SHOWN = 50
"""Agents that it shows; the list of agents has all of them."""


class QueueForm(PageForm):
    """The form that changes a queue: what is left empty is not limited."""

    description: Comment = ""
    log_retention: Duration | None = None
    log_max_total: Size | None = None
    job_retention: Duration | None = None


@Route("GET", "/queues", QUEUE_VIEWER, page=True, query=PageShown)
async def all_queues(call: Call) -> web.StreamResponse:
    """All queues with their load and their agents."""
    call.query(PageShown)
    return await _list(call)


async def _list(call: Call, status: int = 200, **form: Any) -> web.Response:
    queues = await queue_views(call.services.sources, await call.services.store.queues())
    values: dict[str, Any] = {"given": {}, "faults": {}, **form}
    return render(call, "queues.html", status=status, queues=queues, **values)


@Route("POST", "/queues", ADMIN, page=True, body=QueueCreate, action="queue.create")
async def create(call: Call) -> web.StreamResponse:
    """Create a queue."""
    try:
        wanted = call.form(QueueCreate)
        await call.services.store.create_queue(wanted, time.time(), by=call.principal)
    except ApiProblem as problem:
        if not problem.errors:
            raise
        return await _list(call, problem.status, given=call.given_form, faults=as_faults(problem))
    return go(call, f"queues/{wanted.name}", done="created")


@Route("GET", "/queues/{name}", QUEUE_VIEWER, page=True, query=PageShown)
async def one_queue(call: Call) -> web.StreamResponse:
    """One queue: its load, its agents, what waits and runs in it."""
    call.query(PageShown)
    services = call.services
    queue = await services.store.queue(call.path("name"))
    (view,) = await queue_views(services.sources, [queue], call.fleet_role)
    agents = await services.store.agents_named(view.agents[:_AGENTS_SHOWN])
    wanted = frozenset({JobState.QUEUED, JobState.ASSIGNED, JobState.RUNNING})
    jobs, _ = await services.store.jobs(
        JobFilter(states=wanted, queue=queue.name), limit=_SHOWN, cursor=None
    )
    return render(
        call,
        "queue.html",
        queue=view,
        agents=await agent_rows(services.sources, agents),
        jobs=await job_views(services.sources, jobs, values_shown=False),
    )


@Route("POST", "/queues/{name}/change", OPERATOR, page=True, body=QueueForm, action="queue.update")
async def change(call: Call) -> web.StreamResponse:
    """Change what a queue is for and how long it keeps things."""
    name = call.path("name")
    wanted = QueueChange.model_validate(call.form(QueueForm).model_dump())
    await change_queue(call, name, wanted)
    return go(call, f"queues/{name}", done="changed")


@Route("POST", "/queues/{name}/pause", OPERATOR, page=True, action="queue.pause")
async def pause(call: Call) -> web.StreamResponse:
    """Start no more jobs of a queue."""
    return await _set_paused(call, True)


@Route("POST", "/queues/{name}/resume", OPERATOR, page=True, action="queue.resume")
async def resume(call: Call) -> web.StreamResponse:
    """Start jobs of a queue again."""
    return await _set_paused(call, False)


@Route("POST", "/queues/{name}/default", ADMIN, page=True, action="queue.update")
async def make_default(call: Call) -> web.StreamResponse:
    """Let jobs that name no queue go to this one."""
    name = call.path("name")
    await change_queue(call, name, QueueChange(default=True))
    return go(call, f"queues/{name}", done="defaulted")


async def _set_paused(call: Call, paused: bool) -> web.StreamResponse:
    name = call.path("name")
    await change_queue(call, name, QueueChange(paused=paused))
    return go(call, f"queues/{name}", done="paused" if paused else "resumed")


@Route("POST", "/queues/{name}/delete", ADMIN, page=True, action="queue.delete")
async def delete(call: Call) -> web.StreamResponse:
    """Delete an empty queue."""
    await call.services.store.delete_queue(call.path("name"), by=call.principal)
    return go(call, "queues", done="deleted")
