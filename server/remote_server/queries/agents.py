"""Agents as shown: their rows, and what their links tell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from remote_protocol.api.agents import AgentView
from remote_protocol.ids import Role
from remote_server.domain.allowed_actions import on_agent
from remote_server.domain.model import Agent
from remote_server.domain.queue_limits import UNNAMED
from remote_server.queries.sources import Sources
from remote_server.queries.views import when, when_if

_JOBS_SHOWN: Final = 100
_TURN: Final = 100
"""Agents that are looked at without letting others run: some milliseconds."""


async def agent_views(
    sources: Sources, agents: Sequence[Agent], role: Role | None = None
) -> list[AgentView]:
    """Agents as lists and single answers show them to whoever has a role."""
    views = []
    for number, agent in enumerate(agents):
        if number and not number % _TURN:
            await asyncio.sleep(0)
        status, slot = sources.agents.status(agent.name), sources.agents.slot(agent.name)
        held = list(slot.leases if slot else await sources.store.leases_of(agent.name))
        views.append(
            AgentView.model_construct(
                name=agent.name,
                state=status.state,
                queues=list(agent.queues),
                labels=agent.labels,
                capacity=agent.capacity,
                running=len(held),
                jobs=[key.job for key in held if key.job != UNNAMED][:_JOBS_SHOWN],
                condition=status.condition or agent.condition,
                paused=agent.paused,
                pause_comment=agent.pause_comment,
                draining=agent.draining,
                restart_requested_at=when_if(agent.restart_requested_at),
                ephemeral=agent.ephemeral,
                version=agent.version,
                platform=agent.platform,
                boot_id=agent.boot_id,
                address=agent.address,
                spool_bytes=status.spool_bytes,
                load=status.load,
                registered_at=when(agent.registered_at),
                connected_at=when_if(agent.connected_at),
                last_seen_at=when_if(status.seen_at or agent.last_seen_at),
                warning=status.warning,
                allowed_actions=on_agent(role, agent.paused, agent.draining, bool(agent.process)),
            )
        )
    return views
