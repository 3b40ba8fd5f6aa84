"""`remote_server.logs.packer` on real files: what it packs, when, and what stops it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from remote_protocol.attempt_id import AttemptId
from remote_server.errors import StoreUnavailable
from remote_server.logs import LogStore, packer
from remote_server.logs.packer import Packer
from tests.server.logs.test_store import new_key

DATA = b"a line\n" * 10_000


class Ends:
    """Knows which attempts have ended; may fail first."""

    def __init__(self, *keys: AttemptId, failures: int = 0) -> None:
        self.keys = set(keys)
        self.failures = failures

    async def __call__(self, keys: Sequence[AttemptId]) -> frozenset[AttemptId]:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("down")
        return frozenset(self.keys.intersection(keys))


@asynccontextmanager
async def running(packer: Packer) -> AsyncIterator[None]:
    task = asyncio.create_task(packer.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until_packed(logs: LogStore, key: AttemptId) -> None:
    async with asyncio.timeout(10):
        while logs.path(key).exists():
            await asyncio.sleep(0.005)
    assert logs.read(key, 0, len(DATA) + 1) == DATA


async def test_packs_what_an_earlier_process_left_if_it_has_ended(tmp_path: Path) -> None:
    logs, ended, alive = LogStore(tmp_path), new_key(1), new_key(2)
    for key in (alive, ended):
        logs.append(key, DATA)
    async with running(Packer(logs, Ends(ended), after=0.01)):
        await until_packed(logs, ended)
    assert logs.path(alive).exists()
    logs.close()


async def test_a_folder_that_cannot_be_read_does_not_stop_it(tmp_path: Path, monkeypatch) -> None:
    logs, key = LogStore(tmp_path), new_key()
    monkeypatch.setattr(logs, "plain", lambda: iter([(tmp_path / "gone").stat()]))
    async with running(Packer(logs, Ends(key), after=0.01)):
        logs.append(key, DATA)
        logs.finish(key)
        await until_packed(logs, key)
    logs.close()


async def test_packs_finished_logs_after_a_while(tmp_path: Path) -> None:
    logs, key = LogStore(tmp_path), new_key()
    async with running(Packer(logs, Ends(key), after=0.01)):
        await asyncio.sleep(0)
        logs.append(key, DATA)
        logs.finish(key)
        await until_packed(logs, key)
    logs.close()


def test_finished_logs_wait_for_their_time(tmp_path: Path) -> None:
    logs, key = LogStore(tmp_path), new_key()
    logs.append(key, DATA)
    logs.finish(key)
    assert Packer(logs, Ends(key), after=3600).take() == []
    logs.append(key, b"")
    logs.finish(key)
    soon = Packer(logs, Ends(key), after=0)
    assert soon.take() == [key]
    assert soon.take() == []


async def test_a_database_that_fails_is_asked_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(packer, "_AGAIN", 0.01)
    logs, key = LogStore(tmp_path), new_key()
    logs.append(key, DATA)
    async with running(Packer(logs, Ends(key, failures=2), after=0.01)):
        await until_packed(logs, key)
    logs.close()


async def test_a_log_that_cannot_be_packed_does_not_stop_the_others(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(packer, "_AGAIN", 0.01)
    logs, bad, good = LogStore(tmp_path), new_key(1), new_key(2)
    for key in (bad, good):
        logs.append(key, DATA)
    logs.path(bad).with_suffix(".log.part").mkdir()
    async with running(Packer(logs, Ends(bad, good), after=0.01)):
        await until_packed(logs, good)
    assert logs.read(bad, 0, 7) == b"a line\n"
    logs.close()
