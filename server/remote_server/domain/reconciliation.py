"""What a hello makes of an agent's leases: its inventory is compared with the database. Pure.

The reconciliation is the truth (I6); docs/protocol.md has the table of its cases.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase, Verdict
from remote_protocol.states import AttemptState
from remote_server.domain.changes import Accepted, Lost, Returned, Withdrawn
from remote_server.domain.events import Effect, HelloReceived, Record
from remote_server.domain.held_lease import HeldLease, LeaseState
from remote_server.domain.model import Lease

_STATES: Final = {
    AttemptState.OFFERED: LeaseState.OFFERED,
    AttemptState.ACCEPTED: LeaseState.ACCEPTED,
    AttemptState.RUNNING: LeaseState.RUNNING,
}
_WITHOUT: Final = "the agent came back without it"
_UNSTARTED: Final = "it may have run, and the agent came back as if it had not started it"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a hello leads to."""

    held: list[HeldLease] = field(default_factory=list)
    """The agent's leases from now on."""
    rulings: list[m.Ruling] = field(default_factory=list)
    """What is said about each attempt of the inventory; nothing about some."""
    records: list[Effect] = field(default_factory=list)
    """To be made before the welcome."""
    left_alone: set[AttemptId] = field(default_factory=set)
    """Attempts that run to their end without a record."""


def reconcile(
    event: HelloReceived,
    former: Mapping[AttemptId, HeldLease],
    given_up: Collection[AttemptId],
) -> Reconciliation:
    """Compare an agent's inventory with the database.

    `former`: what the session held until now; `given_up`: what was superseded since the last
    hello.
    """
    found = Reconciliation()
    inventory = {item.attempt: item for item in event.hello.inventory}
    for key, item in inventory.items():
        lease, phase = event.leases.get(key), item.phase
        if key in event.left_alone:
            _leave(found, item)
        elif lease is None or (lease.may_return and (phase is Phase.ACCEPTED or key in given_up)):
            settled = key in event.ended and phase is Phase.ENDED
            _rule(found, key, Verdict.SETTLED if settled else Verdict.SUPERSEDED)
        elif lease.state is AttemptState.RUNNING and phase is Phase.ACCEPTED:
            # Whatever its agent has forgotten: what may have run is not started again (I1).
            found.records.append(Record(Lost(key, _UNSTARTED)))
            _rule(found, key, Verdict.SUPERSEDED)
        else:
            if lease.may_return:
                found.records.append(Record(Returned(key)))
            elif lease.state is AttemptState.OFFERED:
                # Its acceptance was not committed, and perhaps confirmed: nobody withdraws it now.
                found.records.append(Record(Accepted(key, first=phase is Phase.ACCEPTED)))
                lease = replace(lease, state=AttemptState.ACCEPTED)
            _keep(found, lease, former)
            _rule(found, key, Verdict.KEEP, event.lengths.get(key, 0))
    for key, lease in event.leases.items():
        if key in inventory or lease.may_return:
            continue
        if lease.state is not AttemptState.OFFERED:
            found.records.append(Record(Lost(key, _WITHOUT)))
        elif _offered_here(former.get(key)):
            # The offer may be on its way after the hello.
            _keep(found, lease, former)
        elif event.moved:
            # What another installation has accepted, and may run, this one does not know.
            found.records.append(Record(Lost(key, _WITHOUT)))
        else:
            # It starts only what its disk will still have: whoever has confirmed it, it never ran.
            found.records.append(Record(Withdrawn(key, _WITHOUT)))
    for key, held in former.items():
        if key not in event.leases and _offered_here(held):
            # Committed after the database was asked.
            _keep(found, held.lease, former)
    return found


def _offered_here(held: HeldLease | None) -> bool:
    """Whether it was offered on this session, and nothing is known that contradicts it."""
    if held is None or held.suspended:
        return False
    return held.serial is not None and held.state is LeaseState.OFFERED


def _keep(found: Reconciliation, lease: Lease, former: Mapping[AttemptId, HeldLease]) -> None:
    state = LeaseState.RUNNING if lease.may_return else _STATES[lease.state]
    held = HeldLease(lease, state)
    if (known := former.get(lease.key)) is not None:
        held.serial, held.log = known.serial, known.log
        if held.log is not None:
            held.log.hello()
    found.held.append(held)


def _leave(found: Reconciliation, item: m.InventoryItem) -> None:
    """What runs goes on, and of its log only what comes from now on is sent: nobody keeps it."""
    match item.phase:
        case Phase.RUNNING:
            found.left_alone.add(item.attempt)
            _rule(found, item.attempt, Verdict.KEEP, item.size)
        case Phase.ENDED:
            _rule(found, item.attempt, Verdict.SETTLED)
        case Phase.ACCEPTED:
            _rule(found, item.attempt, Verdict.SUPERSEDED)


def _rule(found: Reconciliation, key: AttemptId, verdict: Verdict, offset: int = 0) -> None:
    found.rulings.append(m.Ruling(attempt=key, verdict=verdict, offset=offset))
