"""What dispatcher and sweeper ask of the live links: implemented by the hub. Pure types."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Condition, HostLoad
from remote_protocol.states import AgentState, EndReason
from remote_protocol.units import format_size
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.model import Lease


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What is known of an agent beyond its row."""

    state: AgentState = AgentState.OFFLINE
    silence: float | None = None
    """Seconds since an agent that is not online was heard, at the longest since the server's start:
    as they are counted until its jobs are lost. None: it is online."""
    seen_at: float | None = None
    """When it was last heard (Unix seconds); None: not since the server started."""
    condition: Condition | None = None
    """Whether it takes jobs, as it last said itself; None when it is not connected."""
    spool_bytes: int = 0
    """Log bytes that it has not delivered, as of its last heartbeat."""
    warning: str = ""
    """Something that operators should know about it; empty for nothing."""
    load: HostLoad | None = None
    """How busy its host was when it last said so; None: not since the server started."""


class Fetching(NamedTuple):
    """How far an agent is that waits for the files of a job, in bytes."""

    received: int
    size: int

    def words(self, agent: str) -> str:
        """Why a job that this agent holds has not started yet. In tenths: it is told each time that
        it changes."""
        if self.received >= self.size:
            return f"the agent {agent!r} puts its files into place"
        tenths = self.received * 10 // self.size
        return (
            f"its files are on their way to the agent {agent!r}: {tenths * 10} % of "
            f"{format_size(self.size)} are there"
        )


class Links(Protocol):
    """The agents as far as they are connected. Nothing here blocks or waits."""

    def names(self) -> Collection[str]:
        """The agents with an open link; cheap, unlike their slots. It changes with the links."""

    def slot(self, name: str) -> AgentSlot | None:
        """One of them; None when it is not connected."""

    def welcomed(self, name: str) -> bool:
        """Whether there is a slot of this agent; cheap, unlike the slot."""

    def avoided(self, job: str) -> Collection[str]:
        """Agents that gave this job back, and are not offered it for a while."""

    def offer(self, lease: Lease) -> None:
        """Send a lease to its agent, if that is connected; else its next hello gets it or gives it
        back. It may be on its way into the database."""

    def doubt(self, lease: Lease) -> None:
        """A lease that was offered may not be in the database after all."""

    def cancel(self, agent: str, key: AttemptId, reason: EndReason, detail: str) -> None:
        """Ask the agent to end the attempt."""

    def unanswered(self, agent: str, key: AttemptId) -> bool:
        """Whether the agent has an open link by which it is certain that it has not accepted this
        attempt, which is `offered` to it in the database."""

    def fetching(self, agent: str, key: AttemptId) -> Fetching | None:
        """How far the agent is that waits for the files of an attempt; None: it does not."""

    def contact(self, agent: str) -> float | None:
        """When the agent was last heard, by the boot clock; None: not since the server started."""
