"""Queues as shown: their rows, their load, and the agents that serve them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from remote_protocol.api.queues import QueueView
from remote_protocol.ids import Role
from remote_protocol.states import AgentState
from remote_server.domain.allowed_actions import on_queue
from remote_server.domain.model import Queue
from remote_server.queries.sources import Sources
from remote_server.queries.views import when
from remote_server.slices import slices


async def queue_views(
    sources: Sources, queues: Sequence[Queue], role: Role | None = None
) -> list[QueueView]:
    """Queues as lists and single answers show them to whoever has a role."""
    names = [queue.name for queue in queues]
    serving = await sources.store.serving(names)
    loads = await sources.store.loads(names)
    now = time.time()
    views = []
    for queue in queues:
        load, agents = loads[queue.name], serving[queue.name]
        online = 0
        async for part in slices(agents):
            online += sum(sources.agents.state_of(name) is AgentState.ONLINE for name in part)
        views.append(
            QueueView.model_construct(
                name=queue.name,
                description=queue.description,
                paused=queue.paused,
                default=queue.default,
                healthy=online > 0,
                queued=load.queued,
                running=load.running,
                oldest_seconds=None if load.oldest is None else max(0.0, now - load.oldest),
                agents=agents,
                agents_online=online,
                log_retention=queue.log_retention,
                log_max_total=queue.log_max_total,
                job_retention=queue.job_retention,
                created_at=when(queue.created_at),
                allowed_actions=on_queue(role, queue.default, queue.paused),
            )
        )
    return views
