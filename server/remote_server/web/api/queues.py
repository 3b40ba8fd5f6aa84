"""Queues: create, list, show, change, delete."""

from __future__ import annotations

import time

from aiohttp import web

from remote_protocol.api.bodies import Page
from remote_protocol.api.queues import QueueChange, QueueCreate, QueueView
from remote_protocol.errors import ErrorCode
from remote_server.domain.model import Queue
from remote_server.queries.queues import queue_views
from remote_server.web.access import ADMIN, OPERATOR, QUEUE_VIEWER
from remote_server.web.actions.queues import change_queue
from remote_server.web.http.paging import page
from remote_server.web.route import Call, PageQuery, Route, answer, no_content


@Route(
    "POST",
    "/api/v1/queues",
    ADMIN,
    body=QueueCreate,
    answer=QueueView,
    status=201,
    action="queue.create",
    gives=("Location",),
    refuses=(ErrorCode.CONFLICT,),
    example={"name": "gpu", "description": "hosts with a GPU", "job_retention": "90d"},
)
async def create(call: Call) -> web.StreamResponse:
    """Create a queue."""
    body = await call.read(QueueCreate)
    queue = await call.services.store.create_queue(body, time.time(), by=call.principal)
    return answer(await _shown(call, queue), 201, {"Location": f"/api/v1/queues/{queue.name}"})


@Route("GET", "/api/v1/queues", QUEUE_VIEWER, query=PageQuery, answer=Page[QueueView])
async def list_queues(call: Call) -> web.StreamResponse:
    """List queues with their load and agents.

    By name.
    """
    query = call.query(PageQuery)
    queues, following = page(
        await call.services.store.queues(), lambda queue: queue.name, query.limit, query.cursor
    )
    views = await queue_views(call.services.sources, queues, call.fleet_role)
    return answer(Page[QueueView].model_construct(items=views, next_cursor=following))


@Route("GET", "/api/v1/queues/{name}", QUEUE_VIEWER, answer=QueueView)
async def show(call: Call) -> web.StreamResponse:
    """Show a queue."""
    return answer(await _shown(call, await call.services.store.queue(call.path("name"))))


@Route(
    "PATCH",
    "/api/v1/queues/{name}",
    OPERATOR,
    body=QueueChange,
    answer=QueueView,
    action="queue.update",
    refuses=(ErrorCode.CONFLICT,),
    example={"paused": True},
)
async def change(call: Call) -> web.StreamResponse:
    """Change a queue, pause or resume it, make it the default one."""
    body = await call.read(QueueChange)
    return answer(await _shown(call, await change_queue(call, call.path("name"), body)))


@Route(
    "DELETE",
    "/api/v1/queues/{name}",
    ADMIN,
    status=204,
    action="queue.delete",
    refuses=(ErrorCode.CONFLICT,),
)
async def delete(call: Call) -> web.StreamResponse:
    """Delete an empty queue.

    Only when nothing waits or runs in it.
    """
    await call.services.store.delete_queue(call.path("name"), by=call.principal)
    return no_content()


async def _shown(call: Call, queue: Queue) -> QueueView:
    return (await queue_views(call.services.sources, [queue], call.fleet_role))[0]
