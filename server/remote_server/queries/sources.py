"""What the queries read: the store, the inputs, and the live links of agents. Pure types."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AgentState
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.links import AgentStatus, Fetching
from remote_server.inputs import InputStore
from remote_server.store import Store


class Slots(Protocol):
    """The connected agents and their places for jobs."""

    def slot(self, name: str) -> AgentSlot | None:
        """An agent; None when it is not connected."""


class LiveAgents(Slots, Protocol):
    """What the server knows of agents beyond their rows (the hub)."""

    def state_of(self, name: str) -> AgentState:
        """Online, stale or offline."""

    def status(self, name: str) -> AgentStatus:
        """All that is known of one agent now."""

    def names(self) -> Collection[str]:
        """Those with an open link; it changes with the links."""

    def fetching(self, agent: str, key: AttemptId) -> Fetching | None:
        """How far one is that waits for the files of an attempt; None: it does not."""

    def avoided(self, job: str) -> Collection[str]:
        """Those that gave this job back, and are not offered it for a while."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the queries read."""

    store: Store
    agents: LiveAgents
    inputs: InputStore
    input_ttl: float
    """Seconds of silence after which an input counts as broken off."""
