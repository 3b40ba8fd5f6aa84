"""One agent's leases as its session sees them, and what is said about each. Pure.

`held_lease` has the states of one lease, `reconciliation` what a hello makes of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import Final

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import WrittenOffer, confirm, settled
from remote_protocol.states import EndReason
from remote_server.domain.changes import (
    Accepted,
    Change,
    Finished,
    Lost,
    Rejected,
    Returned,
    Running,
    Withdrawn,
)
from remote_server.domain.events import (
    CapacityChanged,
    ChunkReceived,
    ConfirmWithSecrets,
    Effect,
    HelloReceived,
    LogVerified,
    MissingReceived,
    Record,
    Send,
    VerifyLog,
)
from remote_server.domain.held_lease import Cancel, HeldLease, LeaseEvent, LeaseState
from remote_server.domain.log_receiver import LogReceiver, most_stored
from remote_server.domain.model import Lease
from remote_server.domain.reconciliation import Reconciliation, reconcile

_OF_NOTHING: Final = 0
"""The checksum of a log without a byte."""
CANCEL_AGAIN: Final = 5.0
"""Seconds after which a cancel is said again while the end is not reported."""


class Leases:
    """The leases of one agent on one session."""

    def __init__(self, max_log: int | None = None) -> None:
        self._max_log = max_log
        self._held: dict[AttemptId, HeldLease] = {}
        self._cancelled: dict[AttemptId, HeldLease] = {}
        """Those of them whose end is wished for, so that a tick need not look at all."""
        self._offers = 0
        self._given_up: set[AttemptId] = set()
        """Attempts superseded since the last hello: the agent may kill them at any moment."""
        self._left_alone: set[AttemptId] = set()
        """Attempts that run to their end without a record: killing them would lose work, and their
        bytes have no place here."""
        self.held: Mapping[AttemptId, HeldLease] = MappingProxyType(self._held)
        """Every lease that takes capacity of the agent. Only to be read."""

    @property
    def open(self) -> int:
        """Accepted attempts whose end has not been reported."""
        states = (LeaseState.ACCEPTED, LeaseState.RUNNING)
        return len(self._left_alone) + sum(held.state in states for held in self._held.values())

    @property
    def cancel_due(self) -> float | None:
        """When the next cancel has to be said again."""
        if not self._cancelled:
            return None
        said = (held.cancel.said_at for held in self._cancelled.values() if held.cancel)
        return min(said) + CANCEL_AGAIN

    def _drop(self, key: AttemptId) -> None:
        del self._held[key]
        self._cancelled.pop(key, None)

    def hello(
        self, event: HelloReceived, now: float
    ) -> tuple[list[m.Ruling], list[Effect], list[Effect]]:
        """Take over what a hello leads to.

        Gives the rulings, the records to make before the welcome and the messages to send after
        it.
        """
        found: Reconciliation = reconcile(event, self._held, self._given_up)
        wished = {key: held.cancel for key, held in self._held.items() if held.cancel}
        self._held.clear()
        self._held |= {held.lease.key: held for held in found.held}
        self._cancelled.clear()
        self._given_up.clear()
        self._left_alone = found.left_alone
        after: list[Effect] = []
        for key, held in self._held.items():
            if (known := wished.get(key)) is not None:
                after += self.cancel(key, known.reason, known.detail, now)
            elif held.lease.cancel_requested:
                after += self.cancel(key, held.lease.cancel_reason, held.lease.cancel_detail, now)
        return found.rulings, found.records, after

    def suspend(self, key: AttemptId | None) -> None:
        """Something of an attempt (None: of all) could not be written."""
        for attempt in list(self._held) if key is None else [key]:
            if (held := self._held.get(attempt)) is not None:
                held.suspended, held.leaving = True, False

    # What the server does ----------------------------------------------------------------------

    def offer(self, lease: Lease) -> list[Effect]:
        """A lease was committed for this agent."""
        self._offers += 1
        held = self._held[lease.key] = HeldLease(lease, LeaseState.OFFERED, self._offers)
        return [self._offer(held)]

    def offers(self) -> list[Effect]:
        """Offers of this session that are not accepted yet; sent again they change nothing."""
        open_ = [
            held
            for held in self._held.values()
            if held.state is LeaseState.OFFERED and held.serial is not None
        ]
        return [self._offer(held) for held in sorted(open_, key=lambda held: held.serial or 0)]

    def _offer(self, held: HeldLease) -> Send:
        lease, spec, most = held.lease, held.lease.spec, self._max_log
        # The shim keeps head and tail: nobody can fill the server's disk with one job.
        lower = most if most is not None and most < (spec.max_log or inf) else None
        if lease.text is not None and (lower is None or spec.max_log is None):
            # As it was stored: it need not be written once more.
            return Send(WrittenOffer(lease.key, lease.text, lower, held.serial or 0))
        if lower is not None:
            spec = spec.model_copy(update={"max_log": lower})
        return Send(m.Offer(attempt=lease.key, spec=spec, serial=held.serial or 0))

    def withdraw_offers(self, detail: str) -> list[Effect]:
        """Give back what was not accepted: no session has confirmed it."""
        effects: list[Effect] = []
        for key, held in list(self._held.items()):
            if held.hear(LeaseEvent.WITHDRAW):
                effects += self._gone(Withdrawn(key, detail))
        return effects

    def _gone(self, change: Withdrawn | Rejected | Lost) -> list[Effect]:
        self._drop(change.key)
        return [Record(change), CapacityChanged()]

    def cancel(self, key: AttemptId, reason: EndReason, detail: str, now: float) -> list[Effect]:
        """Wish for the end of an attempt."""
        held = self._held.get(key)
        if held is None:
            return []
        if held.cancel is not None:
            # As for the shim, the first wish gives the reason.
            reason, detail = held.cancel.reason, held.cancel.detail
        held.cancel = Cancel(reason, detail, now)
        self._cancelled[key] = held
        return [_cancel(key, held.cancel)]

    def cancel_again(self, now: float) -> list[Effect]:
        """Say the wishes again that have not come true for a while (I7)."""
        effects: list[Effect] = []
        for key, held in self._cancelled.items():
            if held.cancel is not None and now - held.cancel.said_at >= CANCEL_AGAIN:
                held.cancel.said_at = now
                effects.append(_cancel(key, held.cancel))
        return effects

    def supersede(self, key: AttemptId, detail: str) -> list[Effect]:
        """The server gave the lease up."""
        self._given_up.add(key)
        effects: list[Effect] = [_superseded(key, detail)]
        held = self._held.get(key)
        if held is not None and held.hear(LeaseEvent.SUPERSEDE):
            self._drop(key)
            effects.append(CapacityChanged())
        return effects

    # What the agent says -----------------------------------------------------------------------

    def accepted(self, message: m.Accept) -> list[Effect]:
        """It is durable there."""
        key = message.attempt
        held = self._held.get(key)
        if held is None:
            return self.not_held(key)
        if held.serial is not None and message.serial != held.serial:
            # Of an offer that was withdrawn; the answer to the present one follows.
            return []
        if held.suspended:
            # Its assignment may not be stored. If that were said, it could reach the agent after
            # the hello that is asked of it, and take back what is offered again meanwhile.
            return []
        first = held.state is LeaseState.OFFERED
        held.hear(LeaseEvent.ACCEPT)
        # Recorded even when it was before: the first record may not be committed, or have failed.
        spec = held.lease.spec
        if spec.secrets or spec.private_input:
            private = spec.private_input is not False
            wanted = ConfirmWithSecrets(key, tuple(spec.secrets), spec.queue, private)
            return [Record(Accepted(key, first), (wanted,))]
        return [Record(Accepted(key, first), (Send(confirm(key)),))]

    def refused(self, message: m.Refuse) -> list[Effect]:
        """It has not run there and never will."""
        key = message.attempt
        held = self._held.get(key)
        if held is None or held.serial not in (None, message.serial):
            return []
        offered = held.state is LeaseState.OFFERED
        held.hear(LeaseEvent.REFUSE)
        detail = f"{held.lease.agent} refused it ({message.reason}): {message.detail}"
        if not offered:
            # No agent of ours refuses what it has accepted; whatever it means, it has it no more.
            return self._gone(Lost(key, detail))
        if message.reason.final:
            return self._gone(Rejected(key, detail))
        return self._gone(Withdrawn(key, detail, refused=True))

    def started(self, message: m.Started) -> list[Effect]:
        """Its process exists."""
        held = self._held.get(message.attempt)
        if held is None:
            return self.not_held(message.attempt)
        if not held.hear(LeaseEvent.START):
            return []
        return [Record(Running(message.attempt, message.pid, message.at))]

    def chunk(self, event: ChunkReceived) -> list[Effect]:
        """Log bytes came: append them, once."""
        held = self._held.get(event.key)
        if held is None:
            if event.key in self._left_alone:
                # Nobody keeps it, and its job is not to wait for that.
                return [Send(m.Ack(attempt=event.key, offset=event.offset + event.size))]
            return self.not_held(event.key)
        return [] if held.suspended else self._log_of(held).chunk(event)

    def not_held(self, key: AttemptId) -> list[Effect]:
        """What to say about an attempt that is not this agent's."""
        return [] if key in self._left_alone else [_superseded(key)]

    def missing(self, event: MissingReceived) -> list[Effect]:
        """Log bytes that were asked for are not to be had."""
        message = event.missing
        held = self._held.get(message.attempt)
        if held is None:
            return self.not_held(message.attempt)
        return [] if held.suspended else self._log_of(held).missed(message.offset, event.length)

    def _log_of(self, held: HeldLease) -> LogReceiver:
        if held.log is None:
            lease = held.lease
            held.log = LogReceiver(lease.key, limit=most_stored(lease.spec.max_log, self._max_log))
        return held.log

    def ended(self, message: m.Ended) -> list[Effect]:
        """It is over, and every byte of its log came before this."""
        key = message.attempt
        held = self._held.get(key)
        if held is None:
            if key in self._left_alone:
                self._left_alone.discard(key)
                return [Send(settled(key))]
            return self.not_held(key)
        log = held.log
        stale = log is not None and log.stale(message)
        if held.suspended or stale or not held.hear(LeaseEvent.END):
            return []
        held.cancel = None
        self._cancelled.pop(key, None)
        if log is None and not message.size and message.checksum == _OF_NOTHING:
            # As of most short jobs: nothing of it has come, and nothing is missing.
            return [Record(Finished(key, message), (Send(settled(key)),))]
        if not message.size:
            # Whatever lies there: nothing of it is to be compared.
            return self.verified(LogVerified(message, 0, message.checksum == _OF_NOTHING))
        return [VerifyLog(message)]

    def verified(self, event: LogVerified) -> list[Effect]:
        """The log was compared with what the agent says it is."""
        held = self._held.get(event.ended.attempt)
        if held is None or held.suspended or held.state is not LeaseState.ENDING:
            return []
        effects = self._log_of(held).judge(event)
        if not any(isinstance(effect, Record) for effect in effects):
            held.hear(LeaseEvent.RESEND)
        return effects

    # What the store says -----------------------------------------------------------------------

    def committing(self, key: AttemptId) -> list[Effect]:
        """The end of an attempt is being committed: who comes next may be found meanwhile."""
        held = self._held.get(key)
        if held is None or held.leaving:
            return []
        held.leaving = True
        return [CapacityChanged()]

    def recorded(self, key: AttemptId) -> list[Effect]:
        """The end of an attempt is committed."""
        held = self._held.get(key)
        if held is None or not held.hear(LeaseEvent.SETTLE):
            return []
        self._drop(key)
        return [] if held.leaving else [CapacityChanged()]

    def stale(self, change: Change) -> list[Effect]:
        """The store knows better: the agent does not hold the lease."""
        match change:
            case Withdrawn(key):
                # Accepted after all on a former session, or withdrawn already: ask.
                return [Send(m.Resync(reason=f"{key} could not be withdrawn"))]
            case Accepted(key) | Running(key) | Finished(key) | Returned(key):
                return self.supersede(key, "the attempt is not this agent's any more")
        return []


def _cancel(key: AttemptId, cancel: Cancel) -> Send:
    return Send(m.Cancel(attempt=key, reason=cancel.reason, detail=cancel.detail))


def _superseded(key: AttemptId, detail: str = "it is not this agent's any more") -> Send:
    return Send(m.Superseded(attempt=key, detail=detail))
