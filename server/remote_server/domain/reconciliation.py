"""What a hello makes of an agent's leases: its inventory is compared with the database. Pure.

The reconciliation is the truth (I6); docs/protocol.md has the table of its cases.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase, Verdict
from remote_protocol.states import AttemptState
from remote_server.domain.events import (
    Effect,
    HelloReceived,
    Lost,
    Record,
    Recovered,
    Returned,
    Withdrawn,
)
from remote_server.domain.held_lease import HeldLease, LeaseState
from remote_server.domain.model import Lease

_STATES: Final = {
    AttemptState.OFFERED: LeaseState.OFFERED,
    AttemptState.ACCEPTED: LeaseState.ACCEPTED,
    AttemptState.RUNNING: LeaseState.RUNNING,
}
_WITHOUT: Final = "the agent came back without it"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a hello leads to."""

    held: list[HeldLease] = field(default_factory=list)
    """The agent's leases from now on."""
    rulings: list[m.Ruling] = field(default_factory=list)
    """What is said about each attempt of the inventory; nothing about some."""
    records: list[Effect] = field(default_factory=list)
    """To be made before the welcome."""


def reconcile(
    event: HelloReceived,
    former: Mapping[AttemptId, HeldLease],
    given_up: Collection[AttemptId],
    asking: bool,
) -> Reconciliation:
    """Compare an agent's inventory with the database.

    `former`: what the session held until now; `given_up`: what was superseded since the last
    hello. `asking`: the agent is asked what it has settled, so that nothing is lost before.
    """
    found = Reconciliation()
    inventory = {item.attempt: item.phase for item in event.hello.inventory}
    for key, phase in inventory.items():
        lease = event.leases.get(key)
        if key in event.unknown:
            if phase is not Phase.RUNNING:
                _rule(found, key, Verdict.SETTLED if phase is Phase.ENDED else Verdict.SUPERSEDED)
        elif lease is None or (lease.may_return and (phase is Phase.ACCEPTED or key in given_up)):
            settled = key in event.ended and phase is Phase.ENDED
            _rule(found, key, Verdict.SETTLED if settled else Verdict.SUPERSEDED)
        else:
            if lease.may_return:
                found.records.append(Record(Recovered(key) if lease.unknown else Returned(key)))
            _keep(found, lease, former)
            _rule(found, key, Verdict.KEEP, event.lengths.get(key, 0))
    for key, lease in event.leases.items():
        if key in inventory or lease.may_return:
            continue
        if asking and lease.before_restore:
            _keep(found, lease, former)
        elif lease.state is not AttemptState.OFFERED:
            found.records.append(Record(Lost(key, _WITHOUT)))
        elif _offered_here(former.get(key)):
            # The offer may be on its way after the hello.
            _keep(found, lease, former)
        else:
            found.records.append(Record(Withdrawn(key, _WITHOUT)))
    for key, held in former.items():
        if key not in event.leases and _offered_here(held):
            # Committed after the database was asked.
            _keep(found, held.lease, former)
    return found


def _offered_here(held: HeldLease | None) -> bool:
    return held is not None and held.serial is not None and held.state is LeaseState.OFFERED


def _keep(found: Reconciliation, lease: Lease, former: Mapping[AttemptId, HeldLease]) -> None:
    state = LeaseState.RUNNING if lease.may_return else _STATES[lease.state]
    held = HeldLease(lease, state)
    if (known := former.get(lease.key)) is not None:
        held.serial, held.log = known.serial, known.log
        if held.log is not None:
            held.log.hello()
    found.held.append(held)


def _rule(found: Reconciliation, key: AttemptId, verdict: Verdict, offset: int = 0) -> None:
    found.rulings.append(m.Ruling(attempt=key, verdict=verdict, offset=offset))
