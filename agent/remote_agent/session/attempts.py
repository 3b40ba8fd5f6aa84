"""The attempts that an agent holds, and what happens to each of them. Pure.

Life of an attempt here:

    offer → Store → durable → `accept` → `confirm` → Start → `started` → chunks → `ended`
          → `settled` → Forget

Nothing starts before the server has committed the acceptance, so that the server may give an
attempt whose acceptance never arrived to another agent (I1). What is not durable is not held: an
offer whose link dies before its directory is on the disk is dropped (I4).
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

from remote_agent.session.attempt import Attempt
from remote_agent.session.effects import (
    Effect,
    Forget,
    Kill,
    Remember,
    Send,
    Start,
    Stop,
    WakeUploader,
)
from remote_agent.session.events import AttemptStarted, OfferFailed, SpoolMissing
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.messages import Ended, InventoryItem, Phase, Refusal, Started
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason

_ENDED: Final = Phase.ENDED


class Attempts:
    """Every attempt that is held or being stored."""

    def __init__(self) -> None:
        self.held: dict[AttemptId, Attempt] = {}
        self.talking = False
        """Whether messages may be sent: the link is open and welcomed."""
        self.uploading = False
        """Whether chunks may be sent: no welcome with its rulings is awaited."""
        self._round: deque[AttemptId] = deque()

    @property
    def running(self) -> int:
        """Attempts that have not ended."""
        return sum(attempt.phase is not Phase.ENDED for attempt in self.held.values())

    def running_specs(self) -> list[JobSpec]:
        """The jobs of attempts that run, or will. What is being killed counts for the server no
        more."""
        return [
            attempt.spec
            for attempt in self.held.values()
            if attempt.phase is not _ENDED
            and attempt.spec is not None
            and not (attempt.doomed or attempt.dropped)
        ]

    @property
    def open(self) -> int:
        """Attempts that the server, having read everything sent so far, counts as held."""
        return sum(attempt.open for attempt in self.held.values())

    @property
    def patience(self) -> float:
        """The shortest absence of the server that ends one of the jobs; infinite for none."""
        limits = (a.stop_after for a in self.held.values() if not a.ended)
        return min((limit for limit in limits if limit is not None), default=inf)

    @property
    def spool_bytes(self) -> int:
        """Log bytes that the server has not acknowledged."""
        return sum(a.cursor.size - a.cursor.acked for a in self.held.values() if not a.doomed)

    def inventory(self) -> list[InventoryItem]:
        """All that is durable here and not about to be forgotten, for a hello."""
        return [
            InventoryItem(attempt=key, phase=a.phase, size=a.cursor.size)
            for key, a in self.held.items()
            if a.phase is not None and not a.doomed
        ]

    def change_link(self) -> None:
        """A new link: what is not durable yet never will be held, it is in no inventory."""
        self.drop_unstored()
        for attempt in self.held.values():
            attempt.serial = 0

    def drop_unstored(self) -> None:
        """What is not durable yet never will be held."""
        for attempt in self.held.values():
            attempt.dropped = attempt.dropped or attempt.phase is None

    # Log ---------------------------------------------------------------------------------------

    def next_chunk(self) -> tuple[AttemptId, int, int] | None:
        """`(key, offset, length)` of what to send next, attempt by attempt in turns."""
        while self.uploading and self._round:
            key = self._round.popleft()
            attempt = self.held.get(key)
            if attempt is None:
                continue
            offset, length = attempt.cursor.next_chunk()
            if length and not attempt.doomed:
                self._round.append(key)
                attempt.handed = offset
                return key, offset, length
            attempt.queued = False
        return None

    def chunk_sent(self, key: AttemptId, length: int) -> list[Effect]:
        """The first `length` bytes of the chunk handed out last are on the link."""
        attempt = self.held.get(key)
        if attempt is None:
            return []
        # A rewind or a new session in between has made this chunk an old one.
        if attempt.handed == attempt.cursor.sent:
            attempt.cursor.advance(length)
        attempt.handed = None
        return self._report(attempt)

    def grew(self, key: AttemptId, size: int) -> list[Effect]:
        """The spool has at least `size` bytes."""
        attempt = self.held.get(key)
        if attempt is None or attempt.phase is Phase.ENDED:
            return []
        attempt.cursor.grow(size)
        return self._enqueue(key, attempt)

    def missing(self, event: SpoolMissing) -> list[Effect]:
        """Bytes that the server wants are not to be had: say so, and go on behind them."""
        key, until = event.key, event.until
        attempt = self.held.get(key)
        if attempt is None or not self.uploading or event.offset != attempt.cursor.sent:
            return []
        if until is None:
            if attempt.ended is None:
                # A hint of its growth was ahead of the disk.
                return []
            until = attempt.cursor.size
        if attempt.doomed:
            return []
        if attempt.ended is None:
            attempt.cursor.grow(until)
        until = min(until, attempt.cursor.size)
        attempt.rewind(until)
        missing = Send(m.Missing(attempt=key, offset=until))
        return [missing, *self._enqueue(key, attempt), *self._report(attempt)]

    def _enqueue(self, key: AttemptId, attempt: Attempt) -> list[Effect]:
        if attempt.queued or attempt.doomed or not attempt.cursor.next_chunk()[1]:
            return []
        attempt.queued = True
        self._round.append(key)
        return [WakeUploader()] if self.uploading else []

    def _report(self, attempt: Attempt) -> list[Effect]:
        ended = attempt.ended
        if ended is None or attempt.reported or attempt.doomed or not self.talking:
            return []
        if attempt.cursor.sent < ended.size:
            return []
        attempt.reported = True
        return [Send(ended)]

    # Things that happen on the host ------------------------------------------------------------

    def stored(self, key: AttemptId) -> list[Effect]:
        """Its directory is durable: it is held from now on."""
        attempt = self.held.get(key)
        if attempt is None or attempt.phase is not None:
            return []
        if attempt.dropped:
            del self.held[key]
            return [Forget(key)]
        attempt.phase = Phase.ACCEPTED
        effects = self._accept(key, attempt)
        return effects + (self._start(key, attempt) if attempt.confirmed else [])

    def store_failed(self, event: OfferFailed) -> list[Effect]:
        """Its directory could not be made durable."""
        attempt = self.held.get(event.key)
        if attempt is None or attempt.phase is not None:
            return []
        del self.held[event.key]
        if attempt.dropped:
            return []
        return self.refuse(event.key, attempt.serial, event.reason, event.detail)

    def started(self, event: AttemptStarted) -> list[Effect]:
        """Its process exists."""
        key = event.key
        attempt = self.held.get(key)
        if attempt is None or attempt.phase is not Phase.ACCEPTED:
            return []
        attempt.phase = Phase.RUNNING
        # One that a former agent has started is asked for now: no start of ours did.
        asking = [] if attempt.confirmed else self._ask_input(key, attempt)
        attempt.begun = attempt.confirmed = True
        attempt.started = Started(attempt=key, pid=event.pid, at=event.at)
        return [] if attempt.doomed else [*self.say(attempt.started), *asking]

    def ended(self, key: AttemptId, ended: Ended) -> list[Effect]:
        """It is over."""
        attempt = self.held.get(key)
        if attempt is None or attempt.phase in (None, Phase.ENDED):
            return []
        if attempt.doomed:
            del self.held[key]
            return [Forget(key)]
        attempt.finish(ended)
        return self._enqueue(key, attempt) + self._report(attempt)

    # What the server says ----------------------------------------------------------------------

    def offered_again(self, key: AttemptId, attempt: Attempt, serial: int) -> list[Effect]:
        """An offer of what is here already: say how far it is."""
        if attempt.doomed:
            text = "its superseded start is still being undone"
            return self.refuse(key, serial, Refusal.STALE, text)
        attempt.serial = serial
        if attempt.phase is None:
            attempt.dropped = False
            return []
        if attempt.phase is Phase.ENDED:
            attempt.reported = False
            return self._report(attempt)
        effects = self._accept(key, attempt)
        return effects + (self.say(attempt.started) if attempt.started else [])

    def about(self, message: m.ServerMessage, key: AttemptId) -> list[Effect]:
        """A message about one attempt. RemoteProtocolError when it makes no sense."""
        attempt = self.held.get(key)
        if attempt is None:
            # Its end and this message have crossed; else the next heartbeat's count differs.
            return []
        match message:
            case m.Ack(offset=offset):
                attempt.cursor.ack(offset)
                return self._enqueue(key, attempt) + self._report(attempt)
            case m.Confirm():
                return self._confirm(key, attempt)
            case m.Settled():
                return self._settled(key, attempt)
            case m.Rewind(offset=offset):
                attempt.rewind(offset)
                return self._enqueue(key, attempt) + self._report(attempt)
            case m.Cancel(reason=reason, detail=detail):
                return self._cancel(key, attempt, reason, detail)
            case m.Superseded(detail=detail):
                return self._supersede(key, attempt, detail)
        raise RemoteProtocolError(f"{message.type} is not about an attempt")

    def rule(self, ruling: m.Ruling) -> list[Effect]:
        """The server's verdict on an item of the inventory."""
        key = ruling.attempt
        attempt = self.held.get(key)
        if attempt is None:
            return []
        match ruling.verdict:
            case m.Verdict.KEEP:
                return self._keep(key, attempt, ruling.offset)
            case m.Verdict.SETTLED:
                return self._settled(key, attempt)
            case m.Verdict.SUPERSEDED:
                return self._supersede(key, attempt, ruling.detail)

    def _keep(self, key: AttemptId, attempt: Attempt, offset: int) -> list[Effect]:
        # Superseded and taken back again meanwhile: it dies all the same, but its end is reported.
        attempt.doomed = False
        # A host that lost power may have lost the tail of a spool that the server still has.
        attempt.rewind(min(offset, attempt.cursor.size))
        effects: list[Effect] = []
        if attempt.phase is Phase.ACCEPTED:
            effects += self._accept(key, attempt)
        elif attempt.phase is Phase.RUNNING and attempt.started is not None:
            effects.append(Send(attempt.started))
        if attempt.confirmed:
            effects += self._ask_input(key, attempt)
        return effects + self._enqueue(key, attempt) + self._report(attempt)

    def _confirm(self, key: AttemptId, attempt: Attempt) -> list[Effect]:
        first, attempt.confirmed = not attempt.confirmed, True
        waits = attempt.phase is Phase.ACCEPTED and not attempt.stopping and not attempt.doomed
        return self._start(key, attempt) if first and waits else []

    def _cancel(
        self, key: AttemptId, attempt: Attempt, reason: EndReason, text: str
    ) -> list[Effect]:
        if attempt.phase is Phase.ENDED or attempt.doomed:
            return []
        if attempt.phase is None:
            attempt.dropped = True
            text = "cancelled before it was accepted"
            return self.refuse(key, attempt.serial, Refusal.STALE, text)
        attempt.stopping = True
        return [Stop(key, reason, text)]

    def _settled(self, key: AttemptId, attempt: Attempt) -> list[Effect]:
        if attempt.phase is not Phase.ENDED:
            raise RemoteProtocolError(f"attempt {key} is settled, but it has not ended")
        del self.held[key]
        remembered: list[Effect] = [] if attempt.ended is None else [Remember(attempt.ended)]
        return [*remembered, Forget(key)]

    def revive(self, ends: tuple[Ended, ...]) -> None:
        """Take up again what was settled: the server has forgotten it."""
        for ended in ends:
            key = ended.attempt
            if key not in self.held:
                attempt = self.held[key] = Attempt(None, begun=True, confirmed=True)
                attempt.finish(ended)

    def _supersede(self, key: AttemptId, attempt: Attempt, detail: str) -> list[Effect]:
        if attempt.phase is None:
            attempt.dropped = True
            return []
        if attempt.phase is Phase.ENDED or not (attempt.begun or attempt.stopping):
            del self.held[key]
            return [Forget(key)]
        if attempt.doomed:
            return []
        attempt.doomed = True
        return [Kill(key, detail)]

    # Words -------------------------------------------------------------------------------------

    def _start(self, key: AttemptId, attempt: Attempt) -> list[Effect]:
        attempt.begun = True
        return [Start(key), *self._ask_input(key, attempt)]

    def _ask_input(self, key: AttemptId, attempt: Attempt) -> list[Effect]:
        copy = attempt.input
        return copy.ask(key) if copy is not None and self.talking and attempt.reads else []

    def say(self, message: m.AgentMessage) -> list[Effect]:
        """Send it if anything may be sent; else the next welcome makes good for it."""
        return [Send(message)] if self.talking else []

    def _accept(self, key: AttemptId, attempt: Attempt) -> list[Effect]:
        return self.say(m.Accept(attempt=key, serial=attempt.serial))

    def refuse(self, key: AttemptId, serial: int, reason: Refusal, detail: str) -> list[Effect]:
        """Not taken, and never started."""
        return self.say(m.Refuse(attempt=key, serial=serial, reason=reason, detail=detail))
