"""The attempts that an agent holds, and what happens to each of them. Pure.

`lifecycle` has the states and transitions; here they are applied, and the log of each attempt is
handed to the uploader in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Final

from remote_agent.session.attempt import FoundAttempt, HeldAttempt
from remote_agent.session.effects import (
    Acknowledged,
    Effect,
    ForbidInspection,
    Force,
    Forget,
    Kill,
    Prepare,
    Send,
    Start,
    Stop,
    WakeUploader,
)
from remote_agent.session.events import AcceptanceFailed, AttemptStarted, OfferFailed, SpoolMissing
from remote_agent.session.lifecycle import EXPECTED_TO_RUN, TRANSITIONS, Action, State, Trigger
from remote_agent.session.secret_needs import needs_of
from remote_agent.session.turns import Turns
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import Written, accept
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.messages import Ended, InventoryItem, Phase, Refusal, Started
from remote_protocol.states import EndReason

Cause = (
    m.Offer | m.Confirm | m.Cancel | m.Superseded | m.Ruling | OfferFailed | AcceptanceFailed | None
)
"""The message or event of a trigger, if an action needs more of it."""
_WAKE: Final = WakeUploader()
AboutAttempt = m.Confirm | m.Settled | m.Ack | m.Rewind | m.Cancel | m.Superseded
_TRIGGERS: Final[dict[type[AboutAttempt], Trigger]] = {
    m.Confirm: Trigger.CONFIRM,
    m.Cancel: Trigger.CANCEL,
    m.Settled: Trigger.SETTLE,
    m.Superseded: Trigger.SUPERSEDE,
}


class Attempts:
    """Every attempt that is held or being stored."""

    def __init__(self) -> None:
        self.held: dict[AttemptId, HeldAttempt] = {}
        self.talking = False
        """Whether messages may be sent: the link is open and welcomed."""
        self.uploading = False
        """Whether chunks may be sent: no welcome with its rulings is awaited."""
        self.end_counts: dict[str, int] = {}
        """Attempts that ended here, for each end reason."""
        self._turns = Turns()

    @property
    def running(self) -> int:
        """Attempts that have not ended."""
        return sum(not attempt.over for attempt in self.held.values())

    @property
    def expected(self) -> list[HeldAttempt]:
        """Those whose jobs run, or will. What is being killed does not count for the server any
        more."""
        return [
            attempt
            for attempt in self.held.values()
            if attempt.state in EXPECTED_TO_RUN and attempt.spec is not None
        ]

    @property
    def open(self) -> int:
        """Attempts that the server, having read everything sent so far, counts as held."""
        return sum(attempt.open for attempt in self.held.values())

    @property
    def shortest_absence(self) -> float:
        """The shortest absence of the server that ends one of the jobs; infinite for none."""
        limits = (a.stop_after for a in self.held.values() if not a.over)
        return min((limit for limit in limits if limit is not None), default=inf)

    @property
    def spool_bytes(self) -> int:
        """Log bytes that the server has not acknowledged."""
        return sum(self._unacknowledged())

    @property
    def log_lag_bytes(self) -> int:
        """The same, of the one attempt of which there are most."""
        return max(self._unacknowledged(), default=0)

    def _unacknowledged(self) -> Iterator[int]:
        return (a.cursor.size - a.cursor.acked for a in self.held.values() if a.sends)

    def inventory(self) -> list[InventoryItem]:
        """All that is written here and not about to be forgotten, for a hello."""
        return [
            InventoryItem(attempt=key, phase=phase, size=a.cursor.size)
            for key, a in self.held.items()
            if a.sends and (phase := a.phase) is not None
        ]

    def adopt(self, found: FoundAttempt) -> None:
        """Take up an attempt that was found on the disk, before the first link."""
        self.held[found.key] = HeldAttempt.adopt(found)

    def change_link(self) -> None:
        """A new link: nothing was said or offered on it."""
        self._turns.restart()
        for attempt in self.held.values():
            attempt.serial = 0

    # Log ---------------------------------------------------------------------------------------

    def next_chunk(self) -> tuple[AttemptId, int, int] | None:
        """`(key, offset, length)` of what to send next, attempt by attempt in turns."""
        piece = self._turns.take(self.held) if self.uploading else None
        if piece is None:
            return None
        piece.attempt.in_hand = piece.offset
        return piece.attempt.key, piece.offset, piece.length

    def chunk_sent(self, key: AttemptId, length: int, now: float) -> list[Effect]:
        """The first `length` bytes of the chunk handed out last are on the link."""
        attempt = self.held.get(key)
        if attempt is None:
            return []
        # A rewind or a new session in between has made this chunk an old one.
        if attempt.in_hand == attempt.cursor.sent:
            self._turns.sent(attempt, length, now)
        attempt.in_hand = None
        return [] if attempt.ended is None else self._report(attempt, attempt.ended)

    def grew(self, key: AttemptId, size: int) -> list[Effect]:
        """The spool has at least `size` bytes."""
        attempt = self.held.get(key)
        if attempt is None or attempt.over:
            return []
        attempt.cursor.grow(size)
        return self._send_log(attempt)

    def missing(self, event: SpoolMissing) -> list[Effect]:
        """Bytes that the server wants are not to be had: say so, and go on after them."""
        key, until = event.key, event.until
        attempt = self.held.get(key)
        if attempt is None or not self.uploading or event.offset != attempt.cursor.sent:
            return []
        if not attempt.sends:
            return []
        if until is None:
            if attempt.ended is None:
                # An event of its growth was ahead of the disk.
                return []
            until = attempt.cursor.size
        if attempt.ended is None:
            attempt.cursor.grow(until)
        until = min(until, attempt.cursor.size)
        self._rewind(attempt, until)
        return [Send(m.Missing(attempt=key, offset=until)), *self._send_log(attempt)]

    def _rewind(self, attempt: HeldAttempt, offset: int) -> None:
        """Send the log from `offset` on, and the end once more after it."""
        attempt.rewind(offset)
        self._turns.rewound(attempt.key)
        self._fire(attempt, Trigger.REWIND)

    def _send_log(self, attempt: HeldAttempt) -> list[Effect]:
        """Upload what is unsent, and report the end of what is sent."""
        joined = self._turns.join(attempt)
        effects: list[Effect] = [_WAKE] if joined and self.uploading else []
        if attempt.ended is not None:
            effects += self._report(attempt, attempt.ended)
        return effects

    def _report(self, attempt: HeldAttempt, ended: Ended) -> list[Effect]:
        if not self.talking or attempt.cursor.sent < ended.size:
            return []
        return self._fire(attempt, Trigger.REPORT)

    # Things that happen on the host ------------------------------------------------------------

    def stored(self, key: AttemptId) -> list[Effect]:
        """Its directory is written: it is held from now on."""
        attempt = self.held.get(key)
        return [] if attempt is None else self._fire(attempt, Trigger.STORED)

    def store_failed(self, event: OfferFailed) -> list[Effect]:
        """Its directory could not be written."""
        attempt = self.held.get(event.key)
        return [] if attempt is None else self._fire(attempt, Trigger.NOT_STORED, event)

    def durable(self, key: AttemptId) -> list[Effect]:
        """The disk keeps that it is accepted: it may start."""
        attempt = self.held.get(key)
        return [] if attempt is None else self._fire(attempt, Trigger.DURABLE)

    def not_durable(self, event: AcceptanceFailed) -> list[Effect]:
        """The disk does not keep it: it must not start."""
        attempt = self.held.get(event.key)
        return [] if attempt is None else self._fire(attempt, Trigger.NOT_DURABLE, event)

    def started(self, event: AttemptStarted) -> list[Effect]:
        """Its process exists."""
        attempt = self.held.get(event.key)
        if attempt is None or attempt.phase is not Phase.ACCEPTED:
            return []
        attempt.started = Started(attempt=event.key, pid=event.pid, at=event.at)
        return self._fire(attempt, Trigger.STARTED)

    def ended(self, key: AttemptId, ended: Ended, text: str = "") -> list[Effect]:
        """It is over; `text`: the same as JSON, if there is that."""
        attempt = self.held.get(key)
        if attempt is None or attempt.phase in (None, Phase.ENDED):
            return []
        attempt.finish(ended, text)
        reason = ended.end_reason
        self.end_counts[reason] = self.end_counts.get(reason, 0) + 1
        return self._fire(attempt, Trigger.END)

    # What the server says ----------------------------------------------------------------------

    def offered_again(self, attempt: HeldAttempt, offer: m.Offer) -> list[Effect]:
        """An offer of what is here already: say how far it is."""
        if attempt.state is not State.SUPERSEDED:
            attempt.serial = offer.serial
        return self._fire(attempt, Trigger.OFFER, offer)

    def about(self, message: AboutAttempt, now: float) -> list[Effect]:
        """A message about one attempt. RemoteProtocolError when it makes no sense."""
        key = message.attempt
        attempt = self.held.get(key)
        if attempt is None:
            # Its end and this message have crossed; else the next heartbeat's count differs.
            return []
        # By type: a model's `isinstance` runs Python, for each message that is none.
        trigger = _TRIGGERS.get(type(message))
        if trigger is not None:
            return self._fire(attempt, trigger, message)  # type: ignore[arg-type] # by the table
        if type(message) is m.Ack:
            attempt.cursor.ack(message.offset)
            self._turns.acknowledged(key, message.offset, now)
            return [Acknowledged(key, message.offset), *self._send_log(attempt)]
        assert type(message) is m.Rewind
        self._rewind(attempt, message.offset)
        return self._send_log(attempt)

    def rule(self, ruling: m.Ruling) -> list[Effect]:
        """The server's verdict on an item of the inventory."""
        attempt = self.held.get(ruling.attempt)
        if attempt is None:
            return []
        match ruling.verdict:
            case m.Verdict.KEEP:
                # A host that lost power may have lost the tail of a spool that the server has.
                attempt.rewind(min(ruling.offset, attempt.cursor.size))
                known = Acknowledged(attempt.key, ruling.offset)
                return [known, *self._fire(attempt, Trigger.KEEP)]
            case m.Verdict.SETTLED:
                return self._fire(attempt, Trigger.SETTLE)
            case m.Verdict.SUPERSEDED:
                return self._fire(attempt, Trigger.SUPERSEDE, ruling)

    # Transitions -------------------------------------------------------------------------------

    def _fire(self, attempt: HeldAttempt, trigger: Trigger, cause: Cause = None) -> list[Effect]:
        """Change an attempt's state as its table says, and what is to be done about it."""
        transition = TRANSITIONS[attempt.state].get(trigger)
        if transition is None:
            if trigger is Trigger.SETTLE:
                raise RemoteProtocolError(f"attempt {attempt.key} is settled, but has not ended")
            return []
        if transition.state is None:
            del self.held[attempt.key]
            self._turns.leave(attempt.key)
        else:
            attempt.state = transition.state
        effects: list[Effect] = []
        for action in transition.actions:
            effects += _ACTIONS[action](self, attempt, cause)
        if attempt.needs is not None and attempt.state is not State.CONFIRMED:
            # Values of secrets are kept for that start, and for nothing else.
            attempt.needs = None
        return effects

    def _accept(self, attempt: HeldAttempt, _: Cause) -> list[Effect]:
        return self.say(accept(attempt.key, attempt.serial))

    def _force(self, attempt: HeldAttempt, _: Cause) -> list[Effect]:
        return [Force(attempt.key)]

    def _keep_secrets(self, attempt: HeldAttempt, cause: Cause) -> list[Effect]:
        assert isinstance(cause, m.Confirm)
        attempt.needs = needs_of(attempt.spec, cause)
        return [] if attempt.needs is None else [ForbidInspection()]

    def _start(self, attempt: HeldAttempt, cause: Cause) -> list[Effect]:
        spec = attempt.spec
        needs = attempt.needs
        if cause is not None:
            assert isinstance(cause, m.Confirm)
            needs = needs_of(spec, cause)
        if spec is not None and spec.contents:
            return [Prepare(attempt.key, spec, needs)]
        return [Start(attempt.key, needs)]

    def _ask_input(self, attempt: HeldAttempt, _: Cause) -> list[Effect]:
        copy = attempt.input
        return copy.ask(attempt.key) if copy and self.talking and attempt.reads else []

    def _say_started(self, attempt: HeldAttempt, _: Cause) -> list[Effect]:
        return self.say(attempt.started) if attempt.started else []

    def _say_progress(self, attempt: HeldAttempt, cause: Cause) -> list[Effect]:
        return self._say_started(attempt, cause) or self._accept(attempt, cause)

    def _say_ended(self, attempt: HeldAttempt, _: Cause) -> list[Effect]:
        if attempt.ended is None:
            return []
        text = attempt.ended_text
        return [Send(Written("ended", attempt.key, text) if text else attempt.ended)]

    def _stop(self, attempt: HeldAttempt, cause: Cause) -> list[Effect]:
        assert isinstance(cause, m.Cancel)
        return [Stop(attempt.key, cause.reason, cause.detail)]

    def _give_up(self, attempt: HeldAttempt, cause: Cause) -> list[Effect]:
        assert isinstance(cause, AcceptanceFailed)
        return [Stop(attempt.key, EndReason.LOST, cause.detail)]

    def _kill(self, attempt: HeldAttempt, cause: Cause) -> list[Effect]:
        assert isinstance(cause, m.Superseded | m.Ruling)
        return [Kill(attempt.key, cause.detail)]

    def _refuse_unstored(self, attempt: HeldAttempt, cause: Cause) -> list[Effect]:
        assert isinstance(cause, OfferFailed)
        return self.refuse(attempt.key, attempt.serial, cause.reason, cause.detail)

    def _refuse_still_ending(self, attempt: HeldAttempt, cause: Cause) -> list[Effect]:
        assert isinstance(cause, m.Offer)
        text = "its superseded start is still being undone"
        return self.refuse(attempt.key, cause.serial, Refusal.STALE, text)

    def say(self, message: m.AgentMessage | Written) -> list[Effect]:
        """Send it if anything may be sent; else the next welcome makes good for it."""
        return [Send(message)] if self.talking else []

    def refuse(self, key: AttemptId, serial: int, reason: Refusal, detail: str) -> list[Effect]:
        """Not taken, and never started."""
        return self.say(m.Refuse(attempt=key, serial=serial, reason=reason, detail=detail))


_ACTIONS: Final[dict[Action, Callable[[Attempts, HeldAttempt, Cause], list[Effect]]]] = {
    Action.ACCEPT: Attempts._accept,
    Action.FORCE: Attempts._force,
    Action.KEEP_SECRETS: Attempts._keep_secrets,
    Action.START: Attempts._start,
    Action.ASK_INPUT: Attempts._ask_input,
    Action.SAY_STARTED: Attempts._say_started,
    Action.SAY_PROGRESS: Attempts._say_progress,
    Action.SEND_LOG: lambda attempts, attempt, _: attempts._send_log(attempt),
    Action.SAY_ENDED: Attempts._say_ended,
    Action.STOP: Attempts._stop,
    Action.GIVE_UP: Attempts._give_up,
    Action.KILL: Attempts._kill,
    Action.FORGET: lambda _, attempt, __: [Forget(attempt.key)],
    Action.REFUSE_UNSTORED: Attempts._refuse_unstored,
    Action.REFUSE_STILL_ENDING: Attempts._refuse_still_ending,
}
