"""Fakes for the server's loops: links without sockets, and clocks that are moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Collection

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AgentState, EndReason
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.links import AgentStatus, Fetching
from remote_server.domain.model import Clock, Lease


class FakeLinks:
    """Agents that take every offer and remember what they were told."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentSlot] = {}
        self.offers: list[Lease] = []
        self.doubted: list[Lease] = []
        self.ended: list[tuple[str, AttemptId, str]] = []
        self.cancels: list[tuple[str, AttemptId, EndReason, str]] = []
        self.heard: dict[str, float] = {}
        self.fetches: dict[AttemptId, Fetching] = {}
        self.answered: set[AttemptId] = set()
        """Attempts of which connected agents may have accepted more than is stored."""
        self.statuses: dict[str, AgentStatus] = {}
        self.on_offer: Callable[[Lease], None] | None = None

    def connect(
        self,
        name: str,
        queues: tuple[str, ...] = ("default",),
        capacity: int | dict[str, int] = 4,
        labels: dict[str, str] | None = None,
    ) -> AgentSlot:
        """An agent with an open link."""
        classes = {"default": capacity} if isinstance(capacity, int) else capacity
        slot = AgentSlot(name, frozenset(queues), labels or {}, classes)
        self.agents[name] = slot
        return slot

    def names(self) -> list[str]:
        return list(self.agents)

    def slot(self, name: str) -> AgentSlot | None:
        return self.agents.get(name)

    def state_of(self, name: str) -> AgentState:
        return self.status(name).state

    def status(self, name: str) -> AgentStatus:
        return self.statuses.get(name, AgentStatus(silence=0.0))

    def welcomed(self, name: str) -> bool:
        return name in self.agents

    def unanswered(self, agent: str, key: AttemptId) -> bool:
        return agent in self.agents and key not in self.answered

    def fetching(self, agent: str, key: AttemptId) -> Fetching | None:
        return self.fetches.get(key)

    def avoided(self, job: str) -> Collection[str]:
        return ()

    def offer(self, lease: Lease) -> None:
        self.offers.append(lease)
        slot = self.agents.get(lease.agent)
        if slot is not None:
            slot.leases[lease.key] = (lease.queue, lease.weight)
        if self.on_offer is not None:
            self.on_offer(lease)

    def doubt(self, lease: Lease) -> None:
        self.doubted.append(lease)
        slot = self.agents.get(lease.agent)
        if slot is not None:
            slot.leases.pop(lease.key, None)

    def committed(self, changes: ChangeSet) -> None:
        for key, (agent, detail) in changes.given_up.items():
            self.lease_ended(agent, key, detail)

    def lease_ended(self, agent: str, key: AttemptId, detail: str) -> None:
        self.ended.append((agent, key, detail))
        slot = self.agents.get(agent)
        if slot is not None:
            slot.leases.pop(key, None)

    def cancel(self, agent: str, key: AttemptId, reason: EndReason, detail: str) -> None:
        self.cancels.append((agent, key, reason, detail))

    def contact(self, agent: str) -> float | None:
        return self.heard.get(agent)


class HandClock:
    """Two clocks that stand still until they are moved."""

    def __init__(self, wall: float = 1_800_000_000.0, boot: float = 5_000.0) -> None:
        self.wall = wall
        self.boot = boot

    @property
    def clock(self) -> Clock:
        """As the server's rooms want it."""
        return Clock(lambda: self.wall, lambda: self.boot)

    def pass_by(self, seconds: float) -> None:
        """Time goes by, on both."""
        self.wall += seconds
        self.boot += seconds
