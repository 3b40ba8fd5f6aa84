"""One agent's leases as its session sees them, and what is said about each. Pure.

Life of a lease here:

    Offered → `offer` → `accept` → Accepted committed → `confirm` → `started` → chunks
            → `ended` → VerifyLog → Finished committed → `settled`

What is committed decides: a lease that is `offered` in the database has never run, because
`confirm` is only sent behind the commit of Accepted. This memory may be ahead of the database
while records are on their way; the store refuses what is stale, and a hello sets everything right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase, Verdict
from remote_protocol.states import AttemptState, EndReason
from remote_server.domain.events import (
    Accepted,
    CapacityChanged,
    Change,
    ChunkReceived,
    Effect,
    Finished,
    HelloReceived,
    LogVerified,
    Lost,
    MissingReceived,
    Record,
    Recovered,
    Rejected,
    Returned,
    Running,
    Send,
    VerifyLog,
    Withdrawn,
)
from remote_server.domain.log_receiver import LogReceiver, most_stored
from remote_server.domain.model import Lease

CANCEL_AGAIN: Final = 5.0
"""Seconds after which a cancel is said again while the end is not reported."""


@dataclass(slots=True)
class _Cancel:
    reason: EndReason
    detail: str
    said_at: float


class Leases:
    """The leases of one agent on one session."""

    def __init__(self, max_log: int | None = None) -> None:
        self._max_log = max_log
        self.live: dict[AttemptId, Lease] = {}
        """Every lease that takes capacity of the agent."""
        self.failed: set[AttemptId] = set()
        """Attempts with something that could not be written: not heard until the next hello."""
        self._serials: dict[AttemptId, int] = {}
        """Serial of the last offer of each attempt that was offered on this session."""
        self._offers = 0
        self._ending: set[AttemptId] = set()
        """Attempts whose end is being verified or committed."""
        self._logs: dict[AttemptId, LogReceiver] = {}
        self._given_up: set[AttemptId] = set()
        """Attempts superseded since the last hello: the agent may kill them at any moment."""
        self._cancels: dict[AttemptId, _Cancel] = {}
        self.strays: frozenset[AttemptId] = frozenset()
        """Attempts of jobs that a restored database does not know. Nothing is said about those
        that run: killing them would lose work, and their bytes have no place here."""

    @property
    def open(self) -> int:
        """Accepted leases whose end has not been reported."""
        return sum(
            lease.state is not AttemptState.OFFERED and key not in self._ending
            for key, lease in self.live.items()
        )

    @property
    def cancel_due(self) -> float | None:
        """When the next cancel has to be said again."""
        said = [cancel.said_at for cancel in self._cancels.values()]
        return min(said) + CANCEL_AGAIN if said else None

    def drop(self, key: AttemptId) -> bool:
        """The lease is this agent's no more. Whether it was until now."""
        self._serials.pop(key, None)
        self._ending.discard(key)
        self._cancels.pop(key, None)
        self._logs.pop(key, None)
        return self.live.pop(key, None) is not None

    # Hello -------------------------------------------------------------------------------------

    def reconcile(
        self, event: HelloReceived, now: float, asking: bool = False
    ) -> tuple[list[m.Ruling], list[Effect], list[Effect]]:
        """Compare the agent's inventory with the database.

        Gives the rulings, the records to make before the welcome and the messages to send after
        it. `asking`: the agent is asked what it has settled, so that nothing is lost before.
        """
        here = {
            key: lease
            for key, lease in self.live.items()
            if key in self._serials and lease.state is AttemptState.OFFERED
        }
        inventory = {i.attempt: i for i in event.hello.inventory}
        before: list[Effect] = []
        wished, self._cancels = self._cancels, {}
        self.live = {}
        self._ending.clear()
        self.failed.clear()
        rulings = []
        for key, item in inventory.items():
            lease = event.leases.get(key)
            if key in event.strays:
                if item.phase is not Phase.RUNNING:
                    over = item.phase is Phase.ENDED
                    verdict = Verdict.SETTLED if over else Verdict.SUPERSEDED
                    rulings.append(_ruling(key, verdict))
                continue
            if lease is None or (lease.may_return and not self._welcome_back(key, item.phase)):
                settled = key in event.ended and item.phase is Phase.ENDED
                verdict = Verdict.SETTLED if settled else Verdict.SUPERSEDED
                rulings.append(_ruling(key, verdict))
                continue
            if lease.may_return:
                before.append(Record(Recovered(key) if lease.unknown else Returned(key)))
                lease = replace(lease, state=AttemptState.RUNNING, may_return=False)
            self.live[key] = lease
            rulings.append(_ruling(key, Verdict.KEEP, event.lengths.get(key, 0)))
        for key, lease in event.leases.items():
            if key in inventory or lease.may_return:
                continue
            if asking and lease.before_restore:
                self.live[key] = lease
            elif lease.state is not AttemptState.OFFERED:
                before.append(Record(Lost(key, "the agent came back without it")))
            elif key in here:
                # Offered on this very session: the offer may be on its way behind the hello.
                self.live[key] = lease
            else:
                before.append(Record(Withdrawn(key, "the agent came back without it")))
        for key, lease in here.items():
            # Committed after the database was asked.
            if key not in event.leases:
                self.live[key] = lease
        after: list[Effect] = []
        for key, lease in self.live.items():
            if key in wished:
                after += self.cancel(key, wished[key].reason, wished[key].detail, now)
            elif lease.cancel_requested:
                after += self.cancel(key, lease.cancel_reason, lease.cancel_detail, now)
        self.strays = event.strays
        self._given_up.clear()
        self._serials = {key: n for key, n in self._serials.items() if key in self.live}
        self._logs = {key: log for key, log in self._logs.items() if key in self.live}
        for log in self._logs.values():
            log.hello()
        return rulings, before, after

    def _welcome_back(self, key: AttemptId, phase: Phase) -> bool:
        return phase is not Phase.ACCEPTED and key not in self._given_up

    # What the server does ----------------------------------------------------------------------

    def offer(self, lease: Lease) -> list[Effect]:
        """A lease was committed for this agent."""
        self.live[lease.key] = lease
        self._offers += 1
        self._serials[lease.key] = self._offers
        return [self._offer(lease, self._offers)]

    def offers(self) -> list[Effect]:
        """Offers of this session that are not accepted yet; sent again they change nothing."""
        return [
            self._offer(self.live[key], serial)
            for key, serial in self._serials.items()
            if self.live[key].state is AttemptState.OFFERED
        ]

    def _offer(self, lease: Lease, serial: int) -> Send:
        spec = lease.spec
        if self._max_log is not None and (spec.max_log is None or spec.max_log > self._max_log):
            # The shim keeps head and tail: nobody can fill the server's disk with one job.
            spec = spec.model_copy(update={"max_log": self._max_log})
        return Send(m.Offer(attempt=lease.key, spec=spec, serial=serial))

    def withdraw_offers(self, detail: str) -> list[Effect]:
        """Give back what was not accepted: it has never run and never will."""
        keys = [k for k, lease in self.live.items() if lease.state is AttemptState.OFFERED]
        return [effect for key in keys for effect in self._give_up(Withdrawn(key, detail))]

    def _give_up(self, change: Withdrawn | Rejected | Lost) -> list[Effect]:
        self.drop(change.key)
        return [Record(change), CapacityChanged()]

    def cancel(self, key: AttemptId, reason: EndReason, detail: str, now: float) -> list[Effect]:
        """Wish for the end of an attempt."""
        if key not in self.live:
            return []
        if (first := self._cancels.get(key)) is not None:
            # As for the shim, the first wish gives the reason.
            reason, detail = first.reason, first.detail
        self._cancels[key] = _Cancel(reason, detail, now)
        return [_cancel(key, reason, detail)]

    def cancel_again(self, now: float) -> list[Effect]:
        """Say the wishes again that have not come true for a while (I7)."""
        effects: list[Effect] = []
        for key, cancel in self._cancels.items():
            if now - cancel.said_at >= CANCEL_AGAIN:
                cancel.said_at = now
                effects.append(_cancel(key, cancel.reason, cancel.detail))
        return effects

    def end(self, key: AttemptId, detail: str) -> list[Effect]:
        """The server gave the lease up."""
        self._given_up.add(key)
        freed: list[Effect] = [CapacityChanged()] if self.drop(key) else []
        return [_superseded(key, detail), *freed]

    # What the agent says -----------------------------------------------------------------------

    def accepted(self, message: m.Accept) -> list[Effect]:
        """It is durable there."""
        key = message.attempt
        lease = self.live.get(key)
        if lease is None:
            return self.not_held(key)
        if message.serial != self._serials.get(key, message.serial):
            # Of an offer that was withdrawn; the answer to the present one follows.
            return []
        first = lease.state is AttemptState.OFFERED
        if first:
            self.live[key] = lease.become(AttemptState.ACCEPTED)
        # Recorded even when it was before: the first record may not be committed yet, and only
        # a commit may be confirmed.
        confirm = Send(m.Confirm(attempt=key))
        return [Record(Accepted(key, first), (confirm,))]

    def refused(self, message: m.Refuse) -> list[Effect]:
        """It has not run there and never will."""
        key = message.attempt
        lease = self.live.get(key)
        if lease is None or message.serial != self._serials.get(key, message.serial):
            return []
        detail = f"{lease.agent} refused it ({message.reason}): {message.detail}"
        if lease.state is not AttemptState.OFFERED:
            # No agent of ours refuses what it has accepted; whatever it means, it has it no more.
            return self._give_up(Lost(key, detail))
        final = message.reason.final
        if final:
            return self._give_up(Rejected(key, detail))
        used = message.reason is m.Refusal.USED
        return self._give_up(Withdrawn(key, detail, refused=True, used=used))

    def started(self, message: m.Started) -> list[Effect]:
        """Its process exists."""
        key = message.attempt
        lease = self.live.get(key)
        if lease is None:
            return self.not_held(key)
        if lease.state is AttemptState.RUNNING:
            return []
        self.live[key] = lease.become(AttemptState.RUNNING)
        return [Record(Running(key, message.pid, message.at))]

    def chunk(self, event: ChunkReceived) -> list[Effect]:
        """Log bytes came: append them, once."""
        key = event.key
        if key not in self.live:
            return self.not_held(key)
        if key in self.failed:
            return []
        return self._log_of(key).chunk(event)

    def not_held(self, key: AttemptId) -> list[Effect]:
        """What to say about an attempt that is not this agent's."""
        return [] if key in self.strays else [_superseded(key)]

    def missing(self, event: MissingReceived) -> list[Effect]:
        """Log bytes that were asked for are not to be had."""
        message = event.missing
        key = message.attempt
        if key not in self.live:
            return self.not_held(key)
        if key in self.failed:
            return []
        return self._log_of(key).missed(message.offset, event.length)

    def _log_of(self, key: AttemptId) -> LogReceiver:
        log = self._logs.get(key)
        if log is None:
            cap = self.live[key].spec.max_log
            log = self._logs[key] = LogReceiver(key, limit=most_stored(cap, self._max_log))
        return log

    def ended(self, message: m.Ended) -> list[Effect]:
        """It is over, and every byte of its log came before this."""
        key = message.attempt
        if key not in self.live:
            if key in self.strays:
                # Nobody here can keep its end: the agent does.
                return [Send(m.Settled(attempt=key))]
            return self.not_held(key)
        if key in self._ending or key in self.failed or self._log_of(key).stale(message):
            return []
        self._ending.add(key)
        self._cancels.pop(key, None)
        return [VerifyLog(message)]

    def verified(self, event: LogVerified) -> list[Effect]:
        """The log was compared with what the agent says it is."""
        ended = event.ended
        key = ended.attempt
        if key not in self._ending or key in self.failed:
            return []
        effects = self._log_of(key).judge(event)
        if not any(isinstance(effect, Record) for effect in effects):
            self._ending.discard(key)
        return effects

    # What the store says -----------------------------------------------------------------------

    def recorded(self, change: Change) -> list[Effect]:
        """The change is committed."""
        if isinstance(change, Finished) and self.drop(change.key):
            return [CapacityChanged()]
        return []

    def stale(self, change: Change) -> list[Effect]:
        """The store knows better: the agent does not hold the lease."""
        match change:
            case Withdrawn(key):
                # Accepted after all on a former session, or withdrawn already: ask.
                return [Send(m.Resync(reason=f"{key} could not be withdrawn"))]
            case Accepted(key) | Running(key) | Finished(key) | Returned(key) | Recovered(key):
                return self.end(key, "the attempt is not this agent's any more")
        return []


def _ruling(key: AttemptId, verdict: Verdict, offset: int = 0) -> m.Ruling:
    return m.Ruling(attempt=key, verdict=verdict, offset=offset)


def _cancel(key: AttemptId, reason: EndReason, detail: str) -> Send:
    return Send(m.Cancel(attempt=key, reason=reason, detail=detail))


def _superseded(key: AttemptId, detail: str = "it is not this agent's any more") -> Send:
    return Send(m.Superseded(attempt=key, detail=detail))
