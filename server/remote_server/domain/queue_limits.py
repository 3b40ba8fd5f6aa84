"""What of agents and their attempts is shown to somebody who is limited to some queues. Pure.

An agent may serve other queues, too: what it runs for them stays unsaid, but how full it is does
not, or nobody could tell why a job waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.capacity import DEFAULT_CLASS, AgentSlot
from remote_server.domain.model import Agent

V = TypeVar("V")
UNNAMED: Final = ""
"""Instead of the id of another queue's job."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The queues that somebody is limited to."""

    queues: frozenset[str]

    def served_by(self, queues: Collection[str]) -> bool:
        """Whether an agent with these queues serves one of them."""
        return not self.queues.isdisjoint(queues)

    def of_queues(self, queues: Iterable[str]) -> tuple[str, ...]:
        """Those of some queues."""
        return tuple(queue for queue in queues if queue in self.queues)

    def of_capacity(self, capacity: Mapping[str, int]) -> dict[str, int]:
        """The capacity classes for these queues: a class is named like its queue."""
        return {
            name: size
            for name, size in capacity.items()
            if name in self.queues or name == DEFAULT_CLASS
        }

    def of_attempts(
        self, held: Mapping[AttemptId, V], queue_of: Callable[[V], str]
    ) -> dict[AttemptId, V]:
        """The attempts that an agent holds, those of other queues without names."""
        return {
            key if queue_of(value) in self.queues else AttemptId(UNNAMED, number): value
            for number, (key, value) in enumerate(held.items(), 1)
        }

    def of_agent(self, agent: Agent) -> Agent:
        """An agent that serves one of them."""
        return replace(
            agent,
            queues=self.of_queues(agent.queues),
            capacity=self.of_capacity(agent.capacity),
            allowed_queues=self.of_queues(agent.allowed_queues),
            allowed_capacity=self.of_capacity(agent.allowed_capacity),
            announced="",
        )

    def of_slot(self, slot: AgentSlot) -> AgentSlot | None:
        """A connected agent; None when it serves none of them."""
        if not self.served_by(slot.queues):
            return None
        capacity = self.of_capacity(slot.capacity)
        # What other classes hold takes no room from these.
        leases = {
            key: lease for key, lease in slot.leases.items() if slot.class_of(lease[0]) in capacity
        }
        return replace(
            slot,
            queues=slot.queues & self.queues,
            capacity=capacity,
            leases=self.of_attempts(leases, lambda lease: lease[0]),
        )
