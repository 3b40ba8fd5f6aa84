"""What dispatcher and sweeper ask of the live links: implemented by the hub. Pure types."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from remote_protocol.states import EndReason
from remote_server.domain.model import Key, Lease
from remote_server.domain.scheduling import AgentSlot


class Links(Protocol):
    """The agents as far as they are connected. Nothing here blocks or waits."""

    def names(self) -> Collection[str]:
        """The agents with an open link; cheap, unlike their slots. It changes with the links."""

    def slots(self) -> Iterable[AgentSlot]:
        """Every agent with an open, welcomed link."""

    def slot(self, name: str) -> AgentSlot | None:
        """One of them; None when it is not connected."""

    def avoided(self, job: str) -> Collection[str]:
        """Agents that gave this job back, and are not offered it for a while."""

    def offer(self, lease: Lease) -> None:
        """Send a committed lease to its agent, if that is connected; else its next hello gets
        it or gives it back."""

    def lease_ended(self, agent: str, key: Key, detail: str) -> None:
        """The server gave the lease up: the agent must kill the attempt if it has it."""

    def cancel(self, agent: str, key: Key, reason: EndReason, detail: str) -> None:
        """Ask the agent to end the attempt."""

    def contact(self, agent: str) -> float | None:
        """When the agent was last heard, by the boot clock; None: not since the server started."""
