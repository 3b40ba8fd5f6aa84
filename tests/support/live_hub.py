"""A hub with a real WebSocket server, with a real store, real log files and a dispatcher."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_CHUNK_FRAME, SUBPROTOCOL
from remote_protocol.states import AttemptState, JobState
from remote_server.agent_logs import AgentLogs
from remote_server.artifacts import LocalArtifacts
from remote_server.clocks import CLOCK, boot_clock
from remote_server.contents import LocalContents
from remote_server.disk.reserve import Reserve
from remote_server.dispatch_signal import DispatchSignal
from remote_server.dispatcher import Dispatcher
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.changes import Change
from remote_server.domain.model import Agent, Attempt, Clock, Job, Outcome, Token
from remote_server.errors import StoreUnavailable
from remote_server.hub import Files, Hub, HubTerms
from remote_server.inputs import InputStore
from remote_server.logs.local.archive import DirectoryArchive
from remote_server.logs.opening import open_logs
from remote_server.secrets.source import KeyFile
from remote_server.secrets.vault import Vault
from remote_server.store import Store
from remote_server.web.agents.handshake import AgentSocket
from tests.support.databases import new_database
from tests.support.fake_agent import DEADLINE, FakeAgent
from tests.support.stored import spec

Early = Callable[[Outcome], None] | None
Heard = Callable[[asyncio.Future[Outcome]], None] | None


class ShakyStore(Store):
    """A real store that can be told to fail, or to let reports wait."""

    down = False
    gate: asyncio.Event | None = None
    recorded: list[Change]

    def record(
        self, agent: str, change: Change, now: float, early: Early = None, heard: Heard = None
    ) -> asyncio.Future[Outcome]:
        if self.gate is not None or self.down:
            task = asyncio.ensure_future(self._record(agent, change, now, early))
            if heard is not None:
                task.add_done_callback(heard)
            return task
        # As the store does it, in one turn of the loop.
        return self._noting(agent, change, now, early, heard)

    async def _record(self, agent: str, change: Change, now: float, early: Early) -> Outcome:
        if self.gate is not None:
            await self.gate.wait()
        self._check()
        return await self._noting(agent, change, now, early)

    def _noting(
        self, agent: str, change: Change, now: float, early: Early, heard: Heard = None
    ) -> asyncio.Future[Outcome]:
        def note(done: asyncio.Future[Outcome]) -> None:
            if done.exception() is None:
                self.recorded.append(change)

        future = super().record(agent, change, now, early, heard)
        future.add_done_callback(note)
        return future

    async def probe(self) -> None:
        self._check()
        await super().probe()

    async def bump_epoch(self, *arguments: Any) -> Agent:
        if self.gate is not None:
            await self.gate.wait()
        self._check()
        return await super().bump_epoch(*arguments)

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("the database is away, for this test")


class LiveHub:
    """The rooms around one hub. `late` and `ahead` are added to its boot and its wall clock."""

    def __init__(self, store: ShakyStore, files: Files, terms: HubTerms) -> None:
        self.store = store
        self.logs = files.logs
        self.inputs = files.inputs
        self.late = self.ahead = 0.0
        self.changed: list[str] = []
        self.tokens: dict[str, Token] = {}
        """Tokens that agents of these names come with; others get one of their own."""
        self._signal = DispatchSignal()
        self.hub = Hub(store, files, terms, self._changed, Clock(self._wall, self._boot))
        self.dispatcher = Dispatcher(store, self.hub, CLOCK, self._signal)
        self.server: TestServer

    def _wall(self) -> float:
        return time.time() + self.ahead

    def _boot(self) -> float:
        return boot_clock() + self.late

    def _changed(self, agent: str) -> None:
        self.changed.append(agent)
        self._signal.wake(agent)

    def log_file(self, key: AttemptId) -> Path:
        """Where an attempt's log lies while it is not packed."""
        return Path(self.logs.store.where(key))

    def agent(self, name: str = "a") -> FakeAgent:
        """An agent that is about to connect."""
        return FakeAgent(str(self.server.make_url(f"/{name}")))

    def slot(self, name: str = "a") -> AgentSlot:
        """A connected agent as the dispatcher sees it."""
        slot = self.hub.slot(name)
        assert slot is not None, f"{name} is not connected"
        return slot

    async def submit(self, **fields: Any) -> str:
        """Submit a job; its id."""
        (job,) = await self.store.submit([spec(**fields)], time.time())
        return job.id

    async def job(self, key: AttemptId | str) -> Job:
        """A job as it is stored."""
        return await self.store.job(key if isinstance(key, str) else key.job)

    async def attempt(self, key: AttemptId) -> Attempt:
        """An attempt as it is stored."""
        return (await self.store.attempts_of(key.job))[key.number - 1]

    async def reaches(self, key: AttemptId, state: AttemptState) -> None:
        """Wait until the stored attempt is in that state."""

        async def there() -> bool:
            return (await self.attempt(key)).state is state

        await until(there)

    async def job_reaches(self, job: str, state: JobState) -> None:
        """Wait until the stored job is in that state."""

        async def there() -> bool:
            return (await self.job(job)).state is state

        await until(there)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        """What the web does once it knows the agent."""
        wire = AgentSocket(protocols=(SUBPROTOCOL,), compress=False, max_msg_size=MAX_CHUNK_FRAME)
        token = await self.token(request.match_info["name"])
        await wire.prepare(request)
        await self.hub.serve(token, wire, "192.0.2.1")
        return wire

    async def token(self, name: str = "a") -> Token:
        """The token of an agent, which may ask for every queue."""
        if name in self.tokens:
            return self.tokens[name]
        known = await self.store.token_by_hash(name)
        if known is not None and not known.revoked:
            return known
        digest = name if known is None else f"{name} {len(await self.store.tokens())}"
        return await self.store.create_token(
            "agent", digest, name, time.time(), agent=name, queues=("*",)
        )


async def until(condition: Callable[[], Any]) -> None:
    """Wait until it is true; a coroutine function is awaited each time."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.002)


@asynccontextmanager
async def live_hub(
    folder: Path, terms: HubTerms, database: str | None = None
) -> AsyncIterator[LiveHub]:
    """Everything started; stopped as the server stops it. `database`: its URL, else it is of the
    kind that the run is about."""
    for name in ("logs", "archive", "artifacts"):
        (folder / name).mkdir(mode=0o700)
    store = await ShakyStore.open(database or new_database(folder))
    store.recorded = []
    reserve = Reserve(folder, 0)
    logs = open_logs(folder / "logs", DirectoryArchive(folder / "archive"), reserve)
    inputs = InputStore(folder / "inputs", reserve, boot_clock, 1 << 30)
    inputs.scan()
    agent_logs = AgentLogs(folder / "agent-logs", reserve, 1 << 20)
    vault = Vault(store, KeyFile(folder / "secrets.key", own=True))
    artifacts = LocalArtifacts(folder / "artifacts", reserve)
    contents = LocalContents(folder / "contents", reserve)
    place = LiveHub(store, Files(logs, inputs, agent_logs, vault, artifacts, contents), terms)
    store.on_commit(place.dispatcher.signal.committed)
    store.on_arrival(place.dispatcher.arriving)
    store.on_commit(inputs.committed)
    store.on_commit(place.hub.committed)
    app = web.Application()
    app.router.add_get("/{name}", place._serve)
    place.server = TestServer(app, access_log=None)
    await place.server.start_server()
    loops = [
        asyncio.ensure_future(place.dispatcher.run()),
        asyncio.ensure_future(place.hub.run()),
    ]
    try:
        yield place
    finally:
        store.down = False
        if store.gate is not None:
            store.gate.set()
        await place.hub.close()
        await place.server.close()
        ended = [loop for loop in loops if loop.done()]
        for loop in loops:
            loop.cancel()
        for loop in loops:
            with suppress(asyncio.CancelledError):
                await loop
        assert not ended, "a loop ended"
        place.logs.close()
        assert await store.check() == []
        await store.close()
