"""A simulated host: the agent's real session driver, uploader and shutdown over fakes of I/O."""

from __future__ import annotations

from pathlib import Path
from random import Random

from remote_agent.app.driver import SessionDriver
from remote_agent.app.ports import Ports
from remote_agent.app.shutdown import Shutdown
from remote_agent.connection.uploader import Step, Uploader
from remote_agent.local.desired_state import ClockReading, DesiredState
from remote_agent.session import events as ev
from remote_agent.session.machine import HostFacts, Session
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import Chunk, decode_chunk
from remote_protocol.errors import CloseCode
from remote_protocol.limits import WINDOW
from remote_protocol.messages import AgentMessage, Phase
from tests.sim.disk import Disk, Judge
from tests.sim.wire import Bytes, Closed, Link

NOWHERE = Path("/nonexistent")
"""State directory without any request of an operator; nothing here writes one."""
KEPT, SEGMENT = 2, 16


class Host:
    """A machine with one agent, whose process may die at any moment."""

    def __init__(self, name: str, rng: Random, judge: Judge) -> None:
        self.name = name
        self.rng = rng
        self.judge = judge
        self.disk = Disk(name, rng, judge)
        self.link: Link | None = None
        self.alive = True
        self.stopped = False
        self.generation = 0
        self.silences = 0
        self._paused = ""
        self._boot()

    @property
    def now(self) -> float:
        return self.disk.now

    @now.setter
    def now(self, now: float) -> None:
        self.disk.now = now

    # Process -----------------------------------------------------------------------------------

    def _boot(self) -> None:
        """A new agent, as `app.agent` puts it together."""
        disk = self.disk
        self.session = Session(HostFacts("sim", self.name))
        for found in disk.boot():
            self.session.adopt(found)
        self.desired = DesiredState(NOWHERE, lambda: ClockReading(self.now, self.now, "boot"))
        self.uploader = Uploader(self, disk.spool, KEPT, SEGMENT, now=lambda: self.now)
        shutdown = Shutdown(self.session, self.desired, disk.stop, "leave", now=lambda: self.now)
        ports = Ports(
            link=self,
            store=disk,
            runner=disk,
            uploader=self.uploader,
            inputs=disk,
            contact=disk,
            disk=self,
            shutdown=shutdown,
            status=self,
        )
        self.driver = SessionDriver(self.session, self.desired, ports, now=lambda: self.now)
        self.driver.reconsider()

    def crash(self) -> None:
        """kill -9 of the agent."""
        self.disk.crash()
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

    def check(self) -> None:
        for attempt in self.session.attempts.values():
            cursor = attempt.cursor
            assert 0 <= cursor.acked <= cursor.sent <= cursor.size
            assert cursor.sent - cursor.acked <= WINDOW

    # The link, the disk's guard and the service manager as ports -------------------------------

    def send(self, message: AgentMessage) -> None:
        self.judge.seen[message.type] += 1
        if self.link:
            self.link.send_up(message)

    def write(self, frame: memoryview) -> bool:
        if self.link is None:
            return False
        chunk = decode_chunk(bytes(frame))
        self.link.send_up(Bytes(chunk.attempt, chunk.offset, bytes(chunk.payload)))
        return True

    async def drain(self) -> None:
        raise AssertionError("the world takes the uploader's steps")

    def close(self, code: CloseCode, detail: str) -> None:
        assert code is CloseCode.SILENT, detail
        self.judge.seen["CloseLink"] += 1
        self.silences += 1
        self.drop_link()

    def refused(self, reason: str) -> None:
        self.desired.block(reason)

    def report(self, text: str) -> None:
        assert text

    # Loops -------------------------------------------------------------------------------------

    def tick(self) -> None:
        # The real janitor tries the disk now and then.
        self.desired.block(self._paused or ("the disk is full" if self.disk.full else ""))
        self.driver.tick()

    def connect(self, link: Link, session: str) -> None:
        self.link = link
        self.driver.link_opened(session)

    def drop_link(self) -> None:
        if self.link:
            self.link.close_by_agent()
            self.link = None
            self.driver.link_closed("dropped")

    def read(self) -> bool:
        """Take one frame off the link."""
        link = self.link
        if link is None or link.frozen or not link.down:
            return False
        frame = link.down.popleft()
        if isinstance(frame, Closed):
            link.agent_end = False
            self.link = None
            self.driver.link_closed("closed by the server")
        elif isinstance(frame, Bytes):
            payload = memoryview(frame.payload)
            self.driver.link_input(Chunk(frame.key, frame.offset, payload))
        else:
            self.driver.link_received(frame)  # type: ignore[arg-type]
        return True

    def upload(self) -> bool:
        """One step of the uploader."""
        return self.uploader.step(self.driver) in (Step.SENT, Step.SKIPPED)

    def store(self) -> bool:
        """The disk has taken an attempt, or refused it."""
        answer = self.disk.stored()
        if answer is None:
            return False
        self.driver.handle(answer)
        return True

    def scan(self) -> bool:
        """Tell the session what its disk says about one attempt; events of shims may be lost."""
        changed = False
        for key in [*self.session.attempts]:
            held, place = self.session.attempts.get(key), self.disk.attempts.get(key)
            if held is None or place is None or held.phase in (None, Phase.ENDED):
                continue
            if place.started and held.phase is Phase.ACCEPTED and self.rng.random() < 0.8:
                self.driver.handle(ev.AttemptStarted(key, 7, place.started.at))
                changed = True
            if len(place.spool) > held.cursor.size:
                self.driver.handle(ev.SpoolGrew(key, len(place.spool)))
                changed = True
            if place.ended is not None:
                self.driver.handle(ev.AttemptEnded(key, place.ended))
                changed = True
        return changed

    def trim(self, key: AttemptId) -> None:
        """Drop a part of a spool's front that the server has acknowledged."""
        place, attempt = self.disk.attempts.get(key), self.session.attempts.get(key)
        if place is not None and attempt is not None:
            place.first = max(place.first, self.rng.randint(0, attempt.cursor.acked))

    def pause(self, paused: bool) -> None:
        self._paused = "paused here" if paused else ""
        self.desired.block(self._paused)
        self.driver.reconsider()
