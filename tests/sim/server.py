"""One life of the server's process: its real store, hub, dispatcher and sweeper, put together as
`composition` does, on simulated files, links and time."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, cast

from remote_protocol.api.agents import AgentChange
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Hello
from remote_protocol.spec import JobSpec
from remote_server.agent_logs import AgentLogs
from remote_server.artifacts import ArtifactStore
from remote_server.contents import ContentStore
from remote_server.disk.reserve import Reserve
from remote_server.dispatch_signal import DispatchSignal
from remote_server.domain.changes import Change
from remote_server.domain.held_lease import LeaseState
from remote_server.domain.model import SYSTEM, Clock, Outcome, Token
from remote_server.errors import ServerError, Stale, StoreUnavailable
from remote_server.hub import Files, HubTerms
from remote_server.inputs import InputStore
from remote_server.logs import Logs
from remote_server.secrets.source import GivenKeys
from remote_server.secrets.vault import Vault
from remote_server.store import Store
from remote_server.store.reconciliation import Known, Reconciliation
from remote_server.store.repository import Ulids
from remote_server.store.sqlite.database import SqliteDatabase, SqlitePorts
from remote_server.sweeper import Sweeper, SweeperSettings
from tests.sim.database import Content, DatabaseFile
from tests.sim.disk import SECRETS
from tests.sim.files import Inputs, LogFiles, ServerDisk
from tests.sim.hub import WatchedDispatcher, WatchedHub
from tests.sim.loop import SimulatedLoop
from tests.sim.wire import ServerSocket, Wire
from tests.support.memory_logs import MemoryArchive

SECRETS_KEY = "c2ltdWxhdGVkIGtleSBvZiBzZWNyZXRzLCAzMiBieXQ="
TERMS = HubTerms(heartbeat_interval=10.0, offer_ttl=30.0)
SWEEPING = SweeperSettings(interval=10.0, offer_ttl=30.0, start_ttl=20.0)
LONGEST_WAIT = 0.5
"""Seconds for which a transaction waits for others."""
WALL = 1_700_000_000.0
"""Unix seconds at which the simulated time begins."""


AGENTS = ("a0", "a1", "a2", "a3")


class Prepared(NamedTuple):
    """A database with agents that are registered, and their tokens."""

    content: Content
    tokens: dict[str, Token]


@cache
def prepared() -> Prepared:
    """The database with which every world begins."""
    file, loop, tokens = DatabaseFile(), SimulatedLoop(), {}
    database = SqliteDatabase(Path("server.db"), "full", ports=SqlitePorts(file.connect))
    store = Store(database, Ulids(bytes))
    change = AgentChange(queues=["default"], capacity={"default": 3})

    async def register() -> None:
        await store.begin(WALL)
        for name in AGENTS:
            token = await store.create_token(
                "agent", f"digest of {name}", name, WALL, agent=name, queues=("*",)
            )
            tokens[name] = token
            hello = Hello(
                oldest=1, newest=1, installation=name, session="0" * 26, agent_version="sim"
            )
            await store.bump_epoch(name, hello, "192.0.2.1", WALL, token)
            await store.update_agent(name, change)
        vault = Vault(store, GivenKeys(SECRETS_KEY), bytes)
        for name, value in SECRETS.items():
            await vault.put(name, value, None, WALL, SYSTEM)

    loop.create_task(register())
    loop.run()
    assert len(tokens) == len(AGENTS)
    return Prepared(file.copy(), tokens)


@dataclass
class Machine:
    """What the server runs on, and what outlives it."""

    file: DatabaseFile
    disk: ServerDisk
    tokens: dict[str, Token]
    rng: Random
    seen: Counter[str]
    starts: int = 0
    run_restored: bool = False
    """The configuration's `after_restore`: jobs that waited may run."""


class _Store(Store):
    """The real store, counting what is recorded."""

    seen: Counter[str]

    def record(
        self,
        agent: str,
        change: Change,
        now: float,
        early: Callable[[Outcome], None] | None = None,
        heard: Callable[[asyncio.Future[Outcome]], None] | None = None,
    ) -> asyncio.Future[Outcome]:
        kind = type(change).__name__

        def count(future: asyncio.Future[Outcome]) -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, Stale):
                self.seen[f"stale {kind}"] += 1
            elif error is None:
                self.seen[kind] += 1

        future = super().record(agent, change, now, early, heard)
        future.add_done_callback(count)
        return future

    async def reconcile(
        self,
        agent: str,
        inventory: Collection[AttemptId],
        known: Known,
        then: Callable[[Reconciliation], None],
    ) -> None:
        def counted(found: Reconciliation) -> None:
            if found.known.left_alone:
                self.seen["left alone"] += 1
            then(found)

        await super().reconcile(agent, inventory, known, counted)


class Server:
    """The process. Each of its steps is the world's to choose; `dead`: nothing leaves it."""

    def __init__(self, machine: Machine, now: float, sent: Callable[[str], None]) -> None:
        self._machine = machine
        self._sent = sent
        self._rng = machine.rng
        self.dead = False
        self.loop = loop = SimulatedLoop(now)
        self.clock = Clock(lambda: WALL + loop.now, loop.time)
        self._steps: deque[Callable[[], None]] = deque()
        """What the database does in the next turns of the loop: run writes, commit."""
        # So long that others often come before a commit that waits for them.
        ports = SqlitePorts(
            machine.file.connect, self._later, clock=lambda: 0.0, longest_wait=LONGEST_WAIT
        )
        self._database = SqliteDatabase(Path("server.db"), "full", ports=ports)
        self.store = _Store(self._database, Ulids(machine.rng.randbytes))
        self.store.seen = machine.seen
        self.logs = LogFiles(machine.disk, machine.rng, machine.seen)
        self.inputs = Inputs(machine.disk, lambda: not self.logs.fault, machine.seen)
        self.sockets: list[ServerSocket] = []
        self.hub: WatchedHub | None = None
        self._run(self._start())

    async def _start(self) -> None:
        try:
            await self._open()
        except StoreUnavailable:
            # The program ends, and whoever looks after it starts it again.
            self.dead = True

    async def _open(self) -> None:
        """As `app` and `composition` do it."""
        store, machine = self.store, self._machine
        await store.begin(self.clock.wall())
        found = await store.begin_life(machine.starts, self.clock.wall(), machine.run_restored)
        machine.starts = found.starts
        signal = DispatchSignal()
        logs = Logs(self.logs, MemoryArchive(), now=self.clock.wall)
        nowhere = Path("/nonexistent")
        no_logs = AgentLogs(nowhere, Reserve(nowhere, 0), 0)
        vault = Vault(store, GivenKeys(SECRETS_KEY), machine.rng.randbytes)
        no_artifacts = cast(ArtifactStore, None)
        no_contents = cast(ContentStore, None)
        inputs = cast(InputStore, self.inputs)
        files = Files(logs, inputs, no_logs, vault, no_artifacts, no_contents)
        self.hub = hub = WatchedHub(
            machine.seen, store, files, TERMS, signal.wake, self.clock, self._rng.random
        )
        dispatcher = WatchedDispatcher(hub.chosen, store, hub, self.clock, signal)
        sweeper = Sweeper(store, hub, self.clock, SWEEPING)
        for listener in (
            signal.committed,
            sweeper.committed,
            hub.committed,
            self.inputs.committed,
        ):
            store.on_commit(listener)
        store.on_arrival(dispatcher.arriving)
        for work in (dispatcher.run, sweeper.run, hub.run):
            self.loop.create_task(work())

    def _later(self, step: Callable[[], None]) -> None:
        self._steps.append(step)

    def _run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(work)
        self.loop.run()
        return task

    # Steps -------------------------------------------------------------------------------------

    @property
    def writing(self) -> bool:
        """Some writes wait to be run, or committed."""
        return bool(self._steps)

    def flush(self) -> bool:
        """Run the writes of a turn of the loop, or commit them."""
        if not self._steps:
            return False
        self.loop.call_soon(self._steps.popleft())
        self.loop.run()
        return True

    def work_on_logs(self) -> bool:
        """A comparison or a sync of a log is done."""
        if not self.logs.finish_one():
            return False
        self.loop.run()
        return True

    def accept(self, wire: Wire) -> bool:
        """An agent opens a link."""
        if self.hub is None:
            return False
        socket = ServerSocket(wire, lambda: not self.dead, self._sent)
        self.sockets = [known for known in self.sockets if not known.closed]
        self.sockets.append(socket)
        self._run(self.hub.serve(self._machine.tokens[wire.agent], socket, "192.0.2.1"))
        return True

    def read(self, agent: str) -> bool:
        """Take one frame off a link of an agent."""
        if any(it.read() for it in self.sockets if it.wire.agent == agent):
            self.loop.run()
            return True
        return False

    def send_input(self, agent: str) -> bool:
        """There is room on an agent's link for what waits for it."""
        if any(it.make_room() for it in self.sockets if it.wire.agent == agent):
            self.loop.run()
            return True
        return False

    def go_on(self, agent: str) -> bool:
        """Take a frame off a link of an agent, or a piece of an input that waits for room."""
        return self.read(agent) or self.send_input(agent)

    def input_changed(self, job: str) -> None:
        """A sender has appended to an input."""
        self.loop.call_soon(self.inputs.changed, job)
        self.loop.run()

    def ends(self, key: AttemptId, agent: str) -> bool:
        """Whether the end of an attempt is being compared or committed."""
        link = None if self.hub is None else self.hub.holder(agent)
        held = None if link is None or link.session is None else link.session.leases.get(key)
        return self.writing if held is None else held.state is LeaseState.ENDING

    def submit(self, spec: JobSpec) -> None:
        """A client submits a job. Nobody listens before the start is done."""
        if self.hub is None:
            return
        self._run(_asked(self.store.submit([spec], self.clock.wall())))

    def cancel(self, job: str) -> None:
        """A client cancels one."""
        if self.hub is None:
            return
        self._run(_asked(self.store.request_cancel(job, "by a user", self.clock.wall())))

    def recover(self) -> None:
        """Database and files can be used again; the server finds out by itself."""
        self._machine.file.works, self.logs.fault = True, ""

    def crash(self) -> None:
        """The process is gone, with all that it had in memory."""
        self.dead = True
        self._machine.file.works = False
        self.loop.drop()
        self._machine.file.crash()


async def _asked(work: Coroutine[Any, Any, object]) -> None:
    """What a client asks for; it hears when it cannot be done."""
    try:
        await work
    except ServerError:
        return
