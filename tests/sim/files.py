"""The server's files in memory: logs and inputs of jobs. They survive its crashes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from zlib import crc32

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.change_set import ChangeSet
from remote_server.inputs.store import Input, InputUnavailable, Watcher
from tests.support.memory_logs import MemoryLogs


@dataclass
class SentInput:
    """The input of one job: what its sender has, and how much of it has arrived."""

    whole: bytes
    size: int = 0
    ended: bool = False

    def send(self, rng: Random) -> None:
        """Append some of it, or its end, or nothing."""
        self.size = min(len(self.whole), self.size + rng.randint(0, 12))
        self.ended = self.size == len(self.whole) and rng.random() < 0.5


@dataclass
class ServerDisk:
    """What lies beside the database."""

    logs: dict[AttemptId, bytearray] = field(default_factory=dict)
    inputs: dict[str, SentInput] = field(default_factory=dict)


class LogFiles(MemoryLogs):
    """The log store of one life of the server. What takes it a while waits for `finish_one`."""

    def __init__(self, disk: ServerDisk, rng: Random, seen: Counter[str]) -> None:
        super().__init__()
        self.logs = disk.logs
        self.working: list[asyncio.Future[None]] = []
        self._rng = rng
        self._seen = seen

    def finish_one(self) -> bool:
        """Some comparison or sync is done."""
        if not self.working:
            return False
        done = self.working.pop(self._rng.randrange(len(self.working)))
        if not done.done():
            done.set_result(None)
        return True

    async def _take_time(self) -> None:
        done = asyncio.get_running_loop().create_future()
        self.working.append(done)
        await done

    def truncate(self, key: AttemptId, length: int) -> None:
        if key in self.logs:
            self._seen["TruncateLog"] += 1
        super().truncate(key, length)

    def extend(self, key: AttemptId, length: int, first: bytes, last: bytes) -> None:
        self._seen["FillLog"] += 1
        super().extend(key, length, first, last)

    def known_checksum(self, key: AttemptId, size: int) -> int | None:
        log = self.logs.get(key, b"")
        # A log that this process has not written all of has to be read.
        return crc32(log) if len(log) == size and self._rng.random() < 0.3 else None

    async def checksum(self, key: AttemptId, size: int, owner: str) -> int | None:
        await self._take_time()
        return await super().checksum(key, size, owner)

    async def sync(self, key: AttemptId) -> None:
        await self._take_time()
        await super().sync(key)


class Inputs:
    """The input store of one life of the server."""

    def __init__(self, disk: ServerDisk, works: Callable[[], bool], seen: Counter[str]) -> None:
        self._files = disk.inputs
        self._works = works
        self._seen = seen
        self._watchers: dict[str, dict[Watcher, None]] = {}
        self._forgotten: set[str] = set()

    def look(self, job: str) -> Input | None:
        sent = self._files.get(job)
        if sent is None or job in self._forgotten:
            return None
        return Input(sent.size, sent.ended)

    def watch(self, job: str, watcher: Watcher) -> Input:
        self._watchers.setdefault(job, {})[watcher] = None
        return self.look(job) or Input()

    def unwatch(self, job: str, watcher: Watcher) -> None:
        self._watchers.get(job, {}).pop(watcher, None)

    def read(self, job: str, offset: int, length: int) -> bytes:
        if not self._works():
            raise InputUnavailable("the files of inputs are away")
        sent = self._files[job]
        assert offset + length <= sent.size
        self._seen["input sent"] += 1
        return sent.whole[offset : offset + length]

    def committed(self, changes: ChangeSet) -> None:
        self._forgotten |= changes.ended

    def changed(self, job: str) -> None:
        """More of an input is here: every link that reads it hears of it."""
        state = self.look(job)
        if state is not None:
            for watcher in list(self._watchers.get(job, ())):
                watcher(job, state)
