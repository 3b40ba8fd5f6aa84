"""The live links for somebody who is limited to some queues: see domain.queue_limits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AgentState
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.links import AgentStatus, Fetching
from remote_server.domain.queue_limits import QueueLimits
from remote_server.queries.sources import LiveAgents


class LimitedAgents:
    """The agents of some queues, as LiveAgents."""

    def __init__(self, agents: LiveAgents, limits: QueueLimits) -> None:
        self._agents = agents
        self._limits = limits

    def slot(self, name: str) -> AgentSlot | None:
        """An agent; None when it is not connected, or serves none of the queues."""
        slot = self._agents.slot(name)
        return None if slot is None else self._limits.of_slot(slot)

    def state_of(self, name: str) -> AgentState:
        """Online, stale or offline."""
        return self._agents.state_of(name)

    def status(self, name: str) -> AgentStatus:
        """All that is known of one agent now, but for a warning, which may name any queue."""
        return replace(self._agents.status(name), warning="")

    def names(self) -> Collection[str]:
        """Nobody: who has an open link is the fleet's business."""
        return ()

    def fetching(self, agent: str, key: AttemptId) -> Fetching | None:
        """How far one is that waits for the files of an attempt; None: it does not."""
        return self._agents.fetching(agent, key)

    def avoided(self, job: str) -> Collection[str]:
        """Those that gave this job back, and are not offered it for a while."""
        return self._agents.avoided(job)
