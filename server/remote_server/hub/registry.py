"""What handling a hello needs of the hub. Pure types."""

from __future__ import annotations

from typing import Protocol

from remote_server.audit_trail import AuditTrail
from remote_server.domain.session import AgentSession, Terms
from remote_server.hub.link import Link, LinkOwner
from remote_server.store import Store


class Registry(LinkOwner, Protocol):
    """Who has which name."""

    store: Store
    trail: AuditTrail
    """What the audit is told of agents' sessions."""

    def holder(self, agent: str) -> Link | None:
        """The link that has an agent's name."""

    def away(self, agent: str) -> float:
        """Seconds since an agent without a link was heard; at the longest since the start."""

    def next_terms(self) -> Terms:
        """What one more agent is told."""

    def joined(self, link: Link, session: AgentSession) -> None:
        """A link's agent said hello: it has the name from now on."""
