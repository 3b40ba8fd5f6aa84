"""What people and the dispatcher are told of an agent beyond its row. Pure, but for the clock that
it is given."""

from __future__ import annotations

from typing import NamedTuple

from remote_protocol.limits import MAX_LEASES
from remote_protocol.messages import HostLoad
from remote_protocol.states import AgentState
from remote_server import __version__
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.demand import able_labels
from remote_server.domain.enrolment import left_out
from remote_server.domain.links import AgentStatus
from remote_server.domain.model import Clock
from remote_server.hub.link import Link


class Seen(NamedTuple):
    """What the hub knows of an agent; times by the boot clock."""

    state: AgentState
    since: float
    """Since when it may be silent."""
    contact: float | None
    """When it was last heard."""
    remark: str
    """What it made of its last offers; empty for nothing."""


def slot_of(link: Link, blocked: str) -> AgentSlot | None:
    """The place for jobs of a welcomed agent; None when it is not welcomed. `blocked`: why it gets
    nothing for now, because of what it made of its last offers."""
    session, agent = link.session, link.agent
    if session is None or agent is None or session.hello is None:
        return None
    reason = session.reason or blocked
    if len(session.leases) >= MAX_LEASES:
        reason = reason or "it holds as many attempts as one agent may"
    return AgentSlot(
        name=link.name,
        queues=frozenset(agent.queues),
        labels=able_labels(agent.labels, agent.platform.kinds),
        capacity=agent.capacity,
        leases={
            key: (held.lease.queue, held.lease.weight)
            for key, held in session.leases.items()
            if not held.leaving
        },
        eligible=not reason,
        reason=reason,
    )


def status_of(
    link: Link | None, seen: Seen, clock: Clock, load: HostLoad | None = None
) -> AgentStatus:
    """The status of an agent whose link is `link`."""
    session, now = None if link is None else link.session, clock.boot()
    contact = seen.contact
    return AgentStatus(
        state=seen.state,
        silence=None if seen.state is AgentState.ONLINE else now - seen.since,
        seen_at=None if contact is None else clock.wall() - (now - contact),
        condition=None if session is None else session.condition,
        spool_bytes=0 if session is None else session.spool_bytes,
        load=load,
        warning=_warning(link, seen.remark),
    )


def _warning(link: Link | None, remark: str) -> str:
    hello = link.session.hello if link is not None and link.session is not None else None
    if hello is None or link is None or link.agent is None:
        return ""
    other = hello.agent_version != __version__
    version = f"it runs version {hello.agent_version}, the server {__version__}"
    found = [version if other else "", left_out(link.agent, hello.settings), remark]
    return "; ".join(text for text in found if text)
