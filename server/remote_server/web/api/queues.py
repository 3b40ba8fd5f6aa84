"""Queues: create, list, show, change, delete."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web

from remote_protocol.api.bodies import Page
from remote_protocol.api.queues import QueueChange, QueueCreate, QueueView
from remote_protocol.ids import Role
from remote_protocol.units import format_duration, format_size
from remote_server.domain.model import Queue
from remote_server.queries.queues import queue_views
from remote_server.web.access import ADMIN, OPERATOR, VIEWER
from remote_server.web.http.paging import page
from remote_server.web.http.problems import forbidden
from remote_server.web.route import Call, PageQuery, Route, answer, no_content

_SHORTEST: Final = 3600.0
"""Seconds that an operator must let ended jobs and their logs be kept."""
_SMALLEST: Final = 256 << 20
"""Bytes of logs of ended jobs that an operator must let a queue keep."""


@Route("POST", "/api/v1/queues", ADMIN, body=QueueCreate, answer=QueueView, status=201)
async def create(call: Call) -> web.StreamResponse:
    """Create a queue."""
    body = await call.read(QueueCreate)
    queue = await call.services.store.create_queue(body, time.time(), by=call.principal)
    return answer(await _shown(call, queue), 201, {"Location": f"/api/v1/queues/{queue.name}"})


@Route("GET", "/api/v1/queues", VIEWER, query=PageQuery, answer=Page[QueueView])
async def list_queues(call: Call) -> web.StreamResponse:
    """List queues with their load and agents.

    By name.
    """
    query = call.query(PageQuery)
    queues, following = page(
        await call.services.store.queues(), lambda queue: queue.name, query.limit, query.cursor
    )
    views = await queue_views(call.services.sources, queues)
    return answer(Page[QueueView].model_construct(items=views, next_cursor=following))


@Route("GET", "/api/v1/queues/{name}", VIEWER, answer=QueueView)
async def show(call: Call) -> web.StreamResponse:
    """Show a queue."""
    return answer(await _shown(call, await call.services.store.queue(call.path("name"))))


@Route("PATCH", "/api/v1/queues/{name}", OPERATOR, body=QueueChange, answer=QueueView)
async def change(call: Call) -> web.StreamResponse:
    """Change a queue, pause or resume it."""
    body = await call.read(QueueChange)
    if call.token.role is not Role.ADMIN:
        _check_retention(body, f"with the role {call.token.role},")
    queue = await call.services.store.change_queue(call.path("name"), body, by=call.principal)
    return answer(await _shown(call, queue))


def _check_retention(change: QueueChange, who: str) -> None:
    """ApiProblem when jobs or logs would vanish as soon as they have ended."""
    why = "what ran must not vanish at once; an admin may set less"
    for what, kept in (("ended jobs", change.job_retention), ("logs", change.log_retention)):
        if kept is not None and kept < _SHORTEST:
            least = format_duration(_SHORTEST)
            raise forbidden(f"{who} {what} are kept for {least} at least: {why}")
    total = change.log_max_total
    if total is not None and total < _SMALLEST:
        raise forbidden(f"{who} {format_size(_SMALLEST)} of logs are kept at least: {why}")


@Route("DELETE", "/api/v1/queues/{name}", ADMIN, status=204)
async def delete(call: Call) -> web.StreamResponse:
    """Delete an empty queue.

    Only when nothing waits or runs in it.
    """
    await call.services.store.delete_queue(call.path("name"), by=call.principal)
    return no_content()


async def _shown(call: Call, queue: Queue) -> QueueView:
    return (await queue_views(call.services.sources, [queue]))[0]
