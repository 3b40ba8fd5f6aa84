"""The disk and the shims of a simulated host: what outlives its agent. Fakes of the driver's ports
to the journal, the inputs and the runner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from remote_agent.session.attempt import FoundAttempt
from remote_agent.session.events import (
    AcceptanceDurable,
    AcceptanceFailed,
    Event,
    OfferFailed,
    OfferStored,
)
from remote_agent.session.input_copy import InputCopy
from remote_agent.session.secret_needs import SecretNeeds
from remote_agent.spool import SpoolError
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended, Offer, Phase, Refusal, Started
from remote_protocol.states import EndReason

ENDLESS = "endless"
"""Name of jobs that only end when they are stopped."""
SECRETS, NO_SECRET = {"DB_PASSWORD": "correct horse"}, "NOT_THERE"
"""What jobs with secrets name: values that the server has, and a name that it does not have."""
IDLE = "idle"
"""Name of jobs that end without having read all of their input."""


@dataclass
class Directory:
    """One attempt on the disk."""

    offer: Offer
    durable: bool = False
    """A loss of power leaves that it was accepted."""
    begun: bool = False
    started: Started | None = None
    spool: bytearray = field(default_factory=bytearray)
    ended: Ended | None = None
    stop: EndReason | None = None
    first: int = 0
    """Bytes of the spool's front that were dropped after the server had acknowledged them."""
    input: bytearray = field(default_factory=bytearray)
    """The copy of the job's input."""
    whole: int | None = None
    """Length of the complete input, once it is known."""
    eaten: int = 0
    """Bytes of it that the job has read."""

    @property
    def found(self) -> FoundAttempt:
        """What a new agent makes of it."""
        phase = Phase.ACCEPTED
        if self.ended is not None:
            phase = Phase.ENDED
        elif self.started is not None:
            phase = Phase.RUNNING
        spec, size = self.offer.spec, len(self.spool)
        copy = InputCopy(len(self.input), self.whole is not None) if spec.stdin else None
        return FoundAttempt(self.offer.attempt, spec, phase, size, self.started, self.ended, copy)


@dataclass
class Judge:
    """What the world watches on a host."""

    began: Callable[[str, AttemptId], None]
    forgotten: Callable[[str, AttemptId, Directory], None]
    vanished: Callable[[AttemptId], None]
    fed: Callable[[AttemptId, Directory], None]
    checksum: Callable[[bytes], int]
    seen: Counter[str]


class Disk:
    """The attempts of one host and its launcher, with the processes of jobs."""

    def __init__(self, host: str, rng: Random, judge: Judge) -> None:
        self.host = host
        self.rng = rng
        self.judge = judge
        self.full = False
        self.now = 0.0
        self.contact = 0.0
        """What the agent has noted for the shims."""
        self.attempts: dict[AttemptId, Directory] = {}
        self.launching: list[AttemptId] = []
        self.accepted: list[AttemptId] = []
        """Attempts of the next flush."""
        self.flushing: list[AttemptId] | None = None
        """Attempts of the one under way."""

    # What becomes of an agent's process ----------------------------------------------------

    def crash(self) -> None:
        """What was written is there all the same, while the host has power."""
        self.accepted, self.flushing = [], None

    def lose_power(self) -> None:
        """All processes are gone. Of attempts nothing is left but that they were accepted, if that
        was durable, or is by chance; and what has ended."""
        self.crash()
        self.launching = []
        for key, place in [*self.attempts.items()]:
            if place.durable or place.ended is not None or self.rng.random() < 0.5:
                place.durable = place.begun = True
                if place.ended is None:
                    self._end(key, place, EndReason.LOST, None)
            else:
                del self.attempts[key]
                self.judge.vanished(key)

    def boot(self) -> list[FoundAttempt]:
        """What a new agent finds."""
        return [place.found for place in self.attempts.values()]

    def take_up(self) -> list[Event]:
        """The new agent makes durable what the one before may not have."""
        waiting = [key for key, p in self.attempts.items() if not (p.begun or p.ended)]
        self.judge.seen["taken up"] += any(not self.attempts[key].durable for key in waiting)
        return [self._keep(key) for key in waiting]

    # Store ---------------------------------------------------------------------------------

    def store(self, offer: Offer) -> OfferStored | OfferFailed:
        assert offer.attempt not in self.attempts
        if self.full:
            return OfferFailed(offer.attempt, Refusal.DISK, "no space left on device")
        self.attempts[offer.attempt] = Directory(offer)
        return OfferStored(offer.attempt)

    def force(self, key: AttemptId) -> None:
        """It takes a while: `flush` goes on with it."""
        self.accepted.append(key)

    def flush(self) -> list[Event] | None:
        """A flush begins, or what was accepted before it is durable, or the disk refuses that; None
        when nobody wants one."""
        if self.flushing is None:
            self.flushing, self.accepted = self.accepted or None, []
            return None if self.flushing is None else []
        done, self.flushing = self.flushing, None
        # Others of that number were accepted since.
        return [self._keep(key) for key in done if key not in self.accepted]

    def _keep(self, key: AttemptId) -> Event:
        place = self.attempts.get(key)
        if place is None:
            return AcceptanceDurable(key)
        if self.full and not place.durable:
            self.judge.seen["not durable"] += 1
            return AcceptanceFailed(key, "no space left on device")
        place.durable = True
        return AcceptanceDurable(key)

    # Runner --------------------------------------------------------------------------------

    def resize(self, capacity: int) -> None:
        assert capacity > 0

    def start(self, key: AttemptId) -> None:
        assert key in self.attempts
        self.judge.seen["Start"] += 1
        self.launching.append(key)

    def start_with_secrets(self, key: AttemptId, needs: SecretNeeds) -> None:
        """What the server gives is whole and right, whatever happened before."""
        assert dict(needs.given.secrets or {}) == SECRETS
        assert list(needs.given.withheld or {}) == [NO_SECRET]
        self.judge.seen["Start with secrets"] += 1
        self.start(key)

    def stop(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        self.judge.seen["Stop"] += 1
        self._stop(key, reason)

    def kill(self, key: AttemptId, detail: str) -> None:
        self.judge.seen["Kill"] += 1
        self._stop(key, EndReason.LOST)

    def _stop(self, key: AttemptId, reason: EndReason) -> None:
        place = self.attempts[key]
        if place.ended is None and not place.begun:
            # The start marker is taken so that no launch under way can begin it any more.
            place.begun = True
            self._end(key, place, reason, None)
        elif place.ended is None:
            place.stop = place.stop or reason

    def forget(self, key: AttemptId) -> None:
        self.judge.forgotten(self.host, key, self.attempts.pop(key))

    # Inputs --------------------------------------------------------------------------------

    def append(self, key: AttemptId, offset: int, payload: memoryview) -> bool:
        self.judge.seen["AppendInput"] += 1
        place, piece = self.attempts[key], bytes(payload)
        assert offset <= len(place.input)
        if self.full:
            # Some of it may be there all the same.
            piece = piece[: self.rng.randint(0, len(piece))]
        place.input[offset : offset + len(piece)] = piece
        self.judge.fed(key, place)
        return not self.full

    def end(self, key: AttemptId, size: int) -> bool:
        self.judge.seen["EndInput"] += 1
        place = self.attempts[key]
        assert size == len(place.input)
        place.whole = None if self.full else size
        return not self.full

    # Spools --------------------------------------------------------------------------------

    def spool(self, key: AttemptId) -> Spool:
        return Spool(self.attempts[key], self.rng)

    # Shims ---------------------------------------------------------------------------------

    def note(self, at: float) -> None:
        self.judge.seen["ContactConfirmed"] += 1
        self.contact = at

    def launch(self) -> bool:
        """Some shim takes a request."""
        if not self.launching:
            return False
        key = self.launching.pop(self.rng.randrange(len(self.launching)))
        place = self.attempts.get(key)
        if place is not None and not place.begun:
            assert place.durable, f"I4: {key} starts, and the host may forget it"
            place.begun = True
            self.judge.began(self.host, key)
        return True

    def work(self, finish: float) -> bool:
        """One step of some job."""
        busy = [key for key, place in self.attempts.items() if place.begun and place.ended is None]
        if not busy:
            return False
        key = self.rng.choice(busy)
        place = self.attempts[key]
        limit = place.offer.spec.on_disconnect.stop_after
        if limit is not None and self.now - self.contact >= limit:
            place.stop = place.stop or EndReason.LOST
            self.judge.seen["forsaken"] += 1
        draw = self.rng.random()
        endless = (place.offer.spec.name or "").startswith(ENDLESS)
        if place.started is None:
            if draw < 0.05:
                self._end(key, place, EndReason.SPAWN_ERROR, 127)
            else:
                place.started = Started(attempt=key, pid=7, at=self.now)
        elif not place.stop and self._eat(key, place):
            pass
        elif draw < (0.5 if place.stop else 0.0 if endless else finish):
            self._end(key, place, place.stop or EndReason.EXIT, None if place.stop else 0)
        else:
            place.spool += self.rng.randbytes(
                self.rng.randint(1, 12) if len(place.spool) < 200 else 0
            )
        return True

    def _eat(self, key: AttemptId, place: Directory) -> bool:
        """The job reads its input, to the end unless it is idle; whether it still wants more."""
        idle = (place.offer.spec.name or "").startswith(IDLE) and self.rng.random() < 0.1
        if not place.offer.spec.stdin or place.eaten == place.whole or idle:
            return False
        place.eaten = min(len(place.input), place.eaten + self.rng.randint(0, 30))
        if place.eaten == place.whole:
            self.judge.seen["eaten"] += 1
            self.judge.fed(key, place)
        return True

    def _end(self, key: AttemptId, place: Directory, reason: EndReason, code: int | None) -> None:
        if self.rng.random() < 0.5 and place.started is not None:
            place.spool += self.rng.randbytes(self.rng.randint(0, 5))
        place.ended = Ended(
            attempt=key,
            exit_code=code,
            end_reason=reason,
            size=len(place.spool),
            checksum=self.judge.checksum(bytes(place.spool)),
            ended_at=self.now,
            outputs={"log": bytes(place.spool).hex()} if len(place.spool) % 3 else {},
        )


class Spool:
    """The log of one attempt, read a few bytes at a time."""

    def __init__(self, place: Directory, rng: Random) -> None:
        self._place = place
        self._rng = rng

    def read_into(self, buffer: memoryview, offset: int) -> int:
        if offset < self._place.first:
            raise SpoolError("it was dropped", self._place.first)
        piece = self._place.spool[offset : offset + min(len(buffer), self._rng.randint(1, 8))]
        buffer[: len(piece)] = piece
        return len(piece)

    def drop_acked(self, acked: int, keep: int) -> int:
        return 0

    def close(self) -> None:
        pass
