"""A simulated host: the agent's real link, session driver, uploader and shutdown, fakes of I/O."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from remote_agent.app.driver import SessionDriver
from remote_agent.app.ports import Ports
from remote_agent.app.shutdown import Shutdown
from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.link import Link, LinkPorts
from remote_agent.connection.uploader import Step, Uploader
from remote_agent.local.desired_state import ClockReading, DesiredState
from remote_agent.session import events as ev
from remote_agent.session.hello import HostFacts
from remote_agent.session.lifecycle import State
from remote_agent.session.machine import Session
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import Chunk, ContentChunk, Written
from remote_protocol.errors import CloseCode
from remote_protocol.limits import WINDOW
from remote_protocol.messages import AgentMessage, Cancel, Confirm, Phase, ServerMessage
from remote_protocol.states import EndReason
from tests.sim.disk import Disk, Judge
from tests.sim.loop import SimulatedLoop
from tests.sim.wire import CLOSES, AgentSocket, Wire
from tests.support.driven import Nobody, NoContents

NOWHERE = Path("/nonexistent")
"""State directory without any request of an operator; nothing here writes one."""
KEPT, SEGMENT = 2, 16
MOVED = (Step.SENT, Step.SKIPPED)
SERVER = Endpoint("http://192.0.2.1", "token")
SHORTEST_WAIT = 0.25
"""Seconds: a quarter of the shortest window that the back-off draws from, the least it takes
here."""


class Host:
    """A machine with one agent, whose process may die at any moment."""

    def __init__(self, name: str, rng: Random, judge: Judge) -> None:
        self.name = name
        self.rng = rng
        self.judge = judge
        self.disk = Disk(name, rng, judge)
        self.socket: AgentSocket | None = None
        """The WebSocket that was opened last."""
        self.connecting: asyncio.Future[Wire] | None = None
        """The agent waits for an answer to its handshake."""
        self.alive = True
        self.stopped = False
        self.generation = 0
        self.silences = 0
        self._paused = ""
        self._asked_at: float | None = None
        """When the agent asked its server last."""
        self._rests_at: float | None = None
        """When the uploader found nothing that it can read."""
        self.steps = (self.read, self.read, self.flush, self.upload, self.scan)
        self._boot()

    @property
    def now(self) -> float:
        return self.disk.now

    def set_clock(self, now: float) -> None:
        """Time has passed."""
        self.disk.now = now
        if self.acts:
            self.loop.advance(now)

    @property
    def wire(self) -> Wire | None:
        """The link that is open, as the agent sees it."""
        return self.socket.wire if self.socket is not None and self.link.open else None

    @property
    def about_to_start(self) -> list[AttemptId]:
        """Attempts that start without a word more of the server: their shims are asked, or they are
        confirmed and wait for the flush."""
        attempts = self.session.attempts.items() if self.alive else ()
        confirmed = [key for key, held in attempts if held.state is State.CONFIRMED]
        return [*self.disk.launching, *confirmed]

    # Process -----------------------------------------------------------------------------------

    def _boot(self) -> None:
        """A new agent, as `app.agent` puts it together."""
        disk = self.disk
        self.loop = SimulatedLoop(self.now)
        self.socket, self.connecting, self._asked_at = None, None, None
        self.link = Link(
            SERVER,
            LinkPorts(
                connect=self._connect,
                soon=self.loop.call_soon,
                clock=self.loop.time,
                wall=self.loop.time,
                random=lambda: SHORTEST_WAIT + (1 - SHORTEST_WAIT) * self.rng.random(),
                entropy=self.rng.randbytes,
            ),
        )
        self.session = Session(HostFacts("sim", self.name))
        for found in disk.boot():
            self.session.adopt(found)
        self.desired = DesiredState(NOWHERE, lambda: ClockReading(self.now, self.now, "boot"))
        self.uploader = Uploader(self, disk.spool, KEPT, SEGMENT, now=lambda: self.now)
        shutdown = Shutdown(self.session, self.desired, disk.stop, now=lambda: self.now)
        ports = Ports(
            link=self,
            store=disk,
            runner=disk,
            secrets=disk,
            uploader=self.uploader,
            inputs=disk,
            contact=disk,
            disk=self,
            shutdown=shutdown,
            status=self,
            own_log=self,
            artifacts=Nobody(),
            contents=NoContents(),
        )
        self.driver = SessionDriver(self.session, self.desired, ports, now=lambda: self.now)
        for event in disk.take_up():
            self.driver.handle(event)
        self.driver.reconsider()
        self._run = self.loop.create_task(self.link.run(self))
        self.loop.run()

    async def _connect(self, _: Endpoint) -> AgentSocket:
        now, last = self.loop.now, self._asked_at
        assert last is None or now - last >= SHORTEST_WAIT, "the agent spins"
        self._asked_at = now
        self.connecting = self.loop.create_future()
        self.socket = AgentSocket(await self.connecting, self._closed)
        return self.socket

    def _closed(self, code: int, detail: str) -> None:
        # After an error the agent closes with the server's code.
        assert not self.alive or code in CLOSES, detail

    def crash(self) -> None:
        """kill -9 of the agent."""
        self.disk.crash()
        self.alive = False
        if self.socket is not None:
            self.socket.wire.close_by_agent()
        self.loop.drop()

    def lose_power(self) -> None:
        """The whole host goes down, with its agent, its shims and its jobs."""
        if self.alive:
            self.crash()
        self.disk.lose_power()

    def restart(self) -> None:
        self.alive, self.stopped = True, False
        self.generation += 1
        self._boot()

    @property
    def acts(self) -> bool:
        return self.alive and not self.stopped

    def check(self) -> None:
        """What must hold after everything that an agent has heard, once what it has to say in this
        turn has left."""
        self.loop.run()
        if self.alive and self._run.done():
            self._run.result()
            raise AssertionError("the agent's link has ended")
        for attempt in self.session.attempts.values():
            cursor = attempt.cursor
            assert 0 <= cursor.acked <= cursor.sent <= cursor.size
            assert cursor.sent - cursor.acked <= WINDOW

    # The link, the disk's guard and the service manager as ports -------------------------------

    def send(self, message: AgentMessage | Written) -> None:
        self.judge.seen[message.type] += 1
        self.link.send(message)

    def write(self, frame: memoryview) -> bool:
        return self.link.write(frame)

    async def drain(self) -> None:
        raise AssertionError("the world takes the uploader's steps")

    def close(self, code: CloseCode, detail: str) -> None:
        self.judge.seen["CloseLink"] += 1
        self.silences += 1
        self.link.close(code, detail)

    def refused(self, reason: str) -> None:
        self.desired.block(reason)

    def begin(self, cursor: str | None) -> None:
        assert cursor is None, "no server of the simulation wants it"

    def stored(self, cursor: str) -> None:
        raise AssertionError(cursor)

    def report(self, text: str) -> None:
        assert text

    # What the link tells -----------------------------------------------------------------------

    def link_opened(self, session: str) -> None:
        self.driver.link_opened(session)

    def link_received(self, message: ServerMessage) -> None:
        self.judge.seen[message.type] += 1
        if isinstance(message, Cancel) and message.reason is EndReason.LOST:
            self.judge.seen["sweep unstarted"] += 1
        if isinstance(message, Confirm):
            place = self.disk.attempts.get(message.attempt)
            held = place is not None and not place.durable
            self.judge.seen["confirmed before the flush"] += held
        self.driver.link_received(message)

    def link_input(self, chunk: Chunk | ContentChunk) -> None:
        self.driver.link_input(chunk)

    def link_closed(self, reason: str) -> None:
        if self.alive:
            self.driver.link_closed(reason)

    # Loops -------------------------------------------------------------------------------------

    def tick(self) -> None:
        # The real janitor tries the disk now and then.
        self.desired.block(self._paused or ("the disk is full" if self.disk.full else ""))
        self.loop.call_soon(self.driver.tick)
        self.loop.run()
        self.check()

    @property
    def retries_at(self) -> float | None:
        """When the agent asks its server again."""
        return self.loop.due

    def connect(self, wire: Wire | None) -> None:
        """The handshake is answered; None: it is refused."""
        connecting, self.connecting = self.connecting, None
        assert connecting is not None
        if wire is None:
            connecting.set_exception(ConnectionRefusedError("nobody listens"))
        else:
            connecting.set_result(wire)
        self.loop.run()

    def read(self) -> bool:
        """Take one frame off the link."""
        if self.socket is None or not self.socket.read():
            return False
        self.loop.run()
        self.check()
        return True

    def upload(self) -> bool:
        """One step of the uploader."""
        if not self.session.attempts or self._rests_at == self.now:
            return False
        step = self.uploader.step(self.driver)
        if step is Step.RETRY:
            # It waits for a while then.
            self._rests_at = self.now
        if step not in MOVED:
            return False
        self.check()
        return True

    def flush(self) -> bool:
        """The disk goes on with a flush."""
        events = self.disk.flush()
        if events is None:
            return False
        for event in events:
            self.driver.handle(event)
        self.check()
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
        if changed:
            self.check()
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
        self.loop.run()
