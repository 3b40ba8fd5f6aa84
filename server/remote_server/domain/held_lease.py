"""One lease of an agent on one session: its state, and all that has to be known of it. Pure.

Life of a lease here, as in the table below and in docs/protocol.md:

    Offered → `offer` → `accept` → Accepted committed → `confirm` → `started` → chunks
            → `ended` → VerifyLog → Finished committed → `settled`

A log without a byte needs no VerifyLog.

`confirm` may leave before the commit of Accepted (ADR 50): so a lease that is `offered` in the
database may have run, unless it is `offered` here, too. A session that holds it so has heard no
acceptance since its offer, and has confirmed none. This memory may be ahead of the database while
records are on their way; the store refuses what is stale, and a hello sets everything right.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from remote_protocol.states import EndReason
from remote_server.domain.log_receiver import LogReceiver
from remote_server.domain.model import Lease


class LeaseState(StrEnum):
    """How far a lease has come, as its session sees it."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    RUNNING = "running"
    ENDING = "ending"
    """Its end was reported, and is being compared or committed."""
    GONE = "gone"
    """It is this agent's no more."""


class LeaseEvent(StrEnum):
    """What moves a lease from one state to the next."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    START = "start"
    END = "end"
    RESEND = "resend"
    """The log is not what the agent says it is: some of it comes again, and then the end."""
    SETTLE = "settle"
    """The end is committed."""
    WITHDRAW = "withdraw"
    """The link is lost or the agent leaves, before the offer was accepted."""
    SUPERSEDE = "supersede"
    """The server gave the lease up, or the database knows better."""


LEASE_TRANSITIONS: Final[dict[LeaseState, dict[LeaseEvent, LeaseState]]] = {
    LeaseState.OFFERED: {
        LeaseEvent.ACCEPT: LeaseState.ACCEPTED,
        LeaseEvent.REFUSE: LeaseState.GONE,
        LeaseEvent.START: LeaseState.RUNNING,
        LeaseEvent.END: LeaseState.ENDING,
        LeaseEvent.WITHDRAW: LeaseState.GONE,
        LeaseEvent.SETTLE: LeaseState.GONE,
        LeaseEvent.SUPERSEDE: LeaseState.GONE,
    },
    LeaseState.ACCEPTED: {
        LeaseEvent.ACCEPT: LeaseState.ACCEPTED,
        LeaseEvent.REFUSE: LeaseState.GONE,
        LeaseEvent.START: LeaseState.RUNNING,
        LeaseEvent.END: LeaseState.ENDING,
        LeaseEvent.SETTLE: LeaseState.GONE,
        LeaseEvent.SUPERSEDE: LeaseState.GONE,
    },
    LeaseState.RUNNING: {
        LeaseEvent.ACCEPT: LeaseState.RUNNING,
        LeaseEvent.REFUSE: LeaseState.GONE,
        LeaseEvent.END: LeaseState.ENDING,
        LeaseEvent.SETTLE: LeaseState.GONE,
        LeaseEvent.SUPERSEDE: LeaseState.GONE,
    },
    LeaseState.ENDING: {
        LeaseEvent.ACCEPT: LeaseState.ENDING,
        LeaseEvent.REFUSE: LeaseState.GONE,
        LeaseEvent.RESEND: LeaseState.RUNNING,
        LeaseEvent.SETTLE: LeaseState.GONE,
        LeaseEvent.SUPERSEDE: LeaseState.GONE,
    },
    LeaseState.GONE: {},
}
"""An event that a state does not have is without effect: it is said again, or late."""


@dataclass(slots=True)
class Cancel:
    """The wish for the end of an attempt, as its agent is told."""

    reason: EndReason
    detail: str
    said_at: float


@dataclass(slots=True)
class HeldLease:
    """A lease that takes capacity of an agent."""

    lease: Lease
    """As committed when it came here."""
    state: LeaseState
    serial: int | None = None
    """That of its last offer; None: it was not offered on this session."""
    log: LogReceiver | None = None
    """How its log arrives; None until something of it has come."""
    cancel: Cancel | None = None
    suspended: bool = False
    """Something of it could not be written: not heard until the next hello."""
    leaving: bool = False
    """Its end is being committed: its place is free for others."""

    def hear(self, event: LeaseEvent) -> bool:
        """Whether `event` moves the lease on; it does then."""
        state = LEASE_TRANSITIONS[self.state].get(event)
        if state is None:
            return False
        self.state = state
        return True
