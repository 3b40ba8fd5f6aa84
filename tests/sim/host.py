"""A simulated host: disk, shims and launcher that outlive the agent process with its session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from remote_agent.session import effects as out
from remote_agent.session import events as ev
from remote_agent.session.inputs import InputCopy
from remote_agent.session.machine import HostFacts, Session
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.limits import WINDOW
from remote_protocol.messages import Condition, Ended, Offer, Phase, Refusal, Started
from remote_protocol.states import EndReason
from tests.sim.wire import Bytes, Closed, Link

ENDLESS = "endless"
"""Name of jobs that only end when they are stopped."""
IDLE = "idle"
"""Name of jobs that end without having read all of their input."""


@dataclass
class Directory:
    """One attempt on the disk."""

    offer: Offer
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
    settled: bool = False
    """Only its log and the way it ended are kept."""


def _endless(place: Directory) -> bool:
    return place.offer.spec.name == ENDLESS


@dataclass
class Judge:
    """What the world watches on a host."""

    began: Callable[[str, AttemptId], None]
    forgotten: Callable[[str, AttemptId, Directory], None]
    fed: Callable[[AttemptId, Directory], None]
    checksum: Callable[[bytes], int]
    seen: Counter[str]


class Host:
    """A machine with one agent."""

    def __init__(self, name: str, rng: Random, judge: Judge) -> None:
        self.name = name
        self.rng = rng
        self.judge = judge
        self.now = 0.0
        self.contact = 0.0
        """What the agent has noted for the shims: it outlives the agent."""
        self.disk: dict[AttemptId, Directory] = {}
        self.kept: dict[AttemptId, Directory] = {}
        """What was settled; it is on the disk, too, while it is taken up again."""
        self.launching: list[AttemptId] = []
        self.link: Link | None = None
        self.alive = True
        self.stopped = False
        self.disk_full = False
        self.generation = 0
        self.silences = 0
        self._boot()

    # Process -----------------------------------------------------------------------------------

    def _boot(self) -> None:
        self.session = Session(HostFacts("sim", "i"))
        self.storing: list[Offer] = []
        self.taken: tuple[AttemptId, int, bytes] | None = None
        self.disk = {key: place for key, place in self.disk.items() if not place.settled}
        for key, place in self.disk.items():
            phase = Phase.ACCEPTED
            if place.ended is not None:
                phase = Phase.ENDED
            elif place.started is not None:
                phase = Phase.RUNNING
            spec, size = place.offer.spec, len(place.spool)
            copy = InputCopy(len(place.input), place.whole is not None) if spec.stdin else None
            self.session.adopt(key, spec, phase, size, place.started, place.ended, copy)

    def crash(self) -> None:
        """kill -9 of the agent: stores under way may or may not have come to the disk."""
        for offer in self.storing:
            if self.rng.random() < 0.5:
                self.disk[offer.attempt] = Directory(offer)
        self.storing = []
        if self.link:
            self.link.close_by_agent()
            self.link = None
        self.alive = False

    def restart(self) -> None:
        self.alive, self.stopped = True, False
        self.generation += 1
        self._boot()

    @property
    def acts(self) -> bool:
        return self.alive and not self.stopped

    def handle(self, event: ev.Event) -> None:
        for effect in self.session.handle(event, self.now):
            self.judge.seen[type(effect).__name__] += 1
            self._perform(effect)
        for attempt in self.session.attempts.values():
            cursor = attempt.cursor
            assert 0 <= cursor.acked <= cursor.sent <= cursor.size
            assert cursor.sent - cursor.acked <= WINDOW

    def _perform(self, effect: out.Effect) -> None:
        match effect:
            case out.Send(message):
                self.judge.seen[message.type] += 1
                if self.link:
                    self.link.send_up(message)
            case out.Store(offer):
                assert offer.attempt not in self.disk
                assert offer not in self.storing
                self.storing.append(offer)
            case out.Start(key):
                assert key in self.disk
                self.launching.append(key)
            case out.Stop(key, reason):
                self._stop(key, reason)
            case out.Kill(key):
                self._stop(key, EndReason.LOST)
            case out.Proven(at):
                self.contact = at
            case out.Forget(key):
                self.judge.forgotten(self.name, key, self.disk.pop(key))
            case out.AppendInput(key, offset, payload):
                self._append(self.disk[key], key, offset, bytes(payload))
            case out.EndInput(key, size):
                place = self.disk[key]
                assert size == len(place.input)
                place.whole = None if self.disk_full else size
                self.handle(ev.InputFailed(key) if self.disk_full else ev.InputEnded(key))
            case out.Remember(ended):
                key = ended.attempt
                self.disk[key].settled = True
                self.kept[key] = self.disk[key]
            case out.Recount():
                self.handle(ev.Recounted(tuple(self.kept)))
            case out.LookUp(keys):
                found = {key: self.kept[key] for key in keys if key in self.kept}
                self.disk.update(found)
                ends = (place.ended for place in found.values())
                self.handle(ev.Found(tuple(end for end in ends if end is not None)))
            case out.CloseLink(code, detail):
                assert code is CloseCode.SILENT, detail
                self.silences += 1
                self.drop_link()

    def _append(self, place: Directory, key: AttemptId, offset: int, payload: bytes) -> None:
        assert offset <= len(place.input)
        if self.disk_full:
            # Some of it may be there all the same.
            payload = payload[: self.rng.randint(0, len(payload))]
        place.input[offset : offset + len(payload)] = payload
        self.judge.fed(key, place)
        stored = ev.InputStored(key, offset + len(payload))
        self.handle(ev.InputFailed(key) if self.disk_full else stored)

    def _stop(self, key: AttemptId, reason: EndReason) -> None:
        place = self.disk[key]
        if place.ended is None and not place.begun:
            # The start marker is taken so that no launch under way can begin it any more.
            place.begun = True
            self._end(key, place, reason, None)
        elif place.ended is None:
            place.stop = place.stop or reason

    # Link --------------------------------------------------------------------------------------

    def connect(self, link: Link, session: str) -> None:
        self.link = link
        self.handle(ev.LinkOpened(session))

    def drop_link(self) -> None:
        if self.link:
            self.link.close_by_agent()
            self.link = None
            self.handle(ev.LinkClosed())

    def read(self) -> bool:
        """Take one frame off the link."""
        link = self.link
        if link is None or link.frozen or not link.down:
            return False
        frame = link.down.popleft()
        if isinstance(frame, Closed):
            link.agent_end = False
            self.link = None
            self.handle(ev.LinkClosed())
        elif isinstance(frame, Bytes):
            payload = memoryview(frame.payload)
            self.handle(ev.InputReceived(frame.key, frame.offset, payload))
        else:
            self.handle(ev.Received(frame))  # type: ignore[arg-type]
        return True

    def upload(self) -> bool:
        """Take a chunk from the session, or put the one taken on the link."""
        if self.taken is None:
            chunk = self.session.next_chunk()
            if chunk is None:
                return False
            key, offset, length = chunk
            length = min(length, self.rng.randint(1, 8))
            place = self.disk[key]
            if offset < place.first:
                self.handle(ev.ChunkSent(key, 0))
                self.handle(ev.SpoolMissing(key, offset, place.first))
                return True
            self.taken = key, offset, bytes(place.spool[offset : offset + length])
            return True
        key, offset, payload = self.taken
        self.taken = None
        if self.link and payload:
            self.link.send_up(Bytes(key, offset, payload))
        self.handle(ev.ChunkSent(key, len(payload)))
        return True

    # Disk and processes ------------------------------------------------------------------------

    def store(self) -> bool:
        if not self.storing:
            return False
        offer = self.storing.pop(0)
        key = offer.attempt
        if self.disk_full:
            self.handle(ev.OfferFailed(key, Refusal.DISK, "no space left on device"))
        else:
            self.disk[key] = Directory(offer)
            self.handle(ev.OfferStored(key))
        return True

    def launch(self) -> bool:
        if not self.launching:
            return False
        key = self.launching.pop(self.rng.randrange(len(self.launching)))
        place = self.disk.get(key)
        if place is not None and not place.begun:
            place.begun = True
            self.judge.began(self.name, key)
        return True

    def work(self, finish: float) -> bool:
        """One step of some job."""
        busy = [key for key, place in self.disk.items() if place.begun and place.ended is None]
        if not busy:
            return False
        key = self.rng.choice(busy)
        place = self.disk[key]
        bearable = place.offer.spec.on_disconnect.stop_after
        if bearable is not None and self.now - self.contact >= bearable:
            place.stop = place.stop or EndReason.LOST
            self.judge.seen["forsaken"] += 1
        draw = self.rng.random()
        if place.started is None:
            if draw < 0.05:
                self._end(key, place, EndReason.SPAWN_ERROR, 127)
            else:
                place.started = Started(attempt=key, pid=7, at=self.now)
        elif not place.stop and self._eat(key, place):
            pass
        elif draw < (0.5 if place.stop else 0.0 if _endless(place) else finish):
            self._end(key, place, place.stop or EndReason.EXIT, None if place.stop else 0)
        else:
            place.spool += self.rng.randbytes(
                self.rng.randint(1, 12) if len(place.spool) < 200 else 0
            )
        return True

    def _eat(self, key: AttemptId, place: Directory) -> bool:
        """The job reads its input, to the end unless it is idle; whether it still wants more."""
        idle = place.offer.spec.name == IDLE and self.rng.random() < 0.1
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
        )

    def scan(self) -> bool:
        """Tell the session what its disk says about one attempt; hints may have been lost."""
        changed = False
        for key in [*self.session.attempts]:
            held, place = self.session.attempts.get(key), self.disk.get(key)
            if held is None or place is None or held.phase in (None, Phase.ENDED):
                continue
            if place.started and held.phase is Phase.ACCEPTED and self.rng.random() < 0.8:
                self.handle(ev.AttemptStarted(key, 7, place.started.at))
                changed = True
            if len(place.spool) > held.cursor.size:
                self.handle(ev.SpoolGrew(key, len(place.spool)))
                changed = True
            if place.ended is not None:
                self.handle(ev.AttemptEnded(key, place.ended))
                changed = True
        return changed

    def trim(self, key: AttemptId) -> None:
        """Drop a part of a spool's front that the server has acknowledged."""
        place, attempt = self.disk.get(key), self.session.attempts.get(key)
        if place is not None and attempt is not None:
            place.first = max(place.first, self.rng.randint(0, attempt.cursor.acked))

    def pause(self, paused: bool) -> None:
        self.handle(ev.ConditionChanged(Condition(accepting=not paused, reason="paused here")))
