"""Database and log files compared, and what can be repaired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_server.inspection import Inspection
from remote_server.logs import LogStore
from remote_server.store import Store
from tests.support.stored import finish, running, submitted


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    found = await Store.open(str(tmp_path / "server.db"), durability="normal")
    yield found
    await found.close()


@pytest.fixture
def logs(tmp_path: Path) -> LogStore:
    return LogStore(tmp_path / "logs")


async def inspected(store: Store, logs: LogStore, repair: bool = False) -> Inspection:
    found = Inspection(store, logs, repair)
    await found.run()
    return found


async def test_a_sound_server(store: Store, logs: LogStore) -> None:
    for _ in range(3):
        key = await running(store)
        logs.append(key, b"x" * 12)
        await finish(store, key, size=12)
    await submitted(store)
    logs.close()
    found = await inspected(store, logs)
    assert (found.faults, found.jobs) == ([], 4)


async def test_a_missing_log_is_named_and_marked(store: Store, logs: LogStore) -> None:
    key = await running(store)
    await finish(store, key, size=12)
    (fault,) = (await inspected(store, logs)).faults
    assert key.job in fault
    assert "missing (12 bytes)" in fault
    repaired = await inspected(store, logs, repair=True)
    assert repaired.repaired == 1


async def test_a_short_log_is_named_and_kept(store: Store, logs: LogStore) -> None:
    key = await running(store)
    logs.append(key, b"x" * 5)
    await finish(store, key, size=12)
    logs.close()
    found = await inspected(store, logs, repair=True)
    assert "has 5 of 12 bytes" in found.faults[0]
    assert found.repaired == 0
    assert logs.length(key) == 5


async def test_a_log_without_a_job_is_moved_aside(store: Store, logs: LogStore) -> None:
    key = await running(store)
    stranger = key._replace(job="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    logs.append(key, b"x")
    logs.append(stranger, b"precious")
    logs.close()
    (fault,) = (await inspected(store, logs)).faults
    assert stranger.job in fault
    repaired = await inspected(store, logs, repair=True)
    assert repaired.repaired == 1
    aside = logs.root.with_name("logs.orphaned") / stranger.job / "1.log"
    assert aside.read_bytes() == b"precious"
    assert (await inspected(store, logs)).faults == []


async def test_a_damaged_packed_log_is_named(store: Store, logs: LogStore) -> None:
    key = await running(store)
    logs.append(key, b"x" * 100_000)
    await finish(store, key, size=100_000)
    await logs.pack(key)
    assert (await inspected(store, logs)).faults == []
    path = logs.path(key).with_suffix(".log.gz")
    path.write_bytes(path.read_bytes()[:-1])
    (fault,) = (await inspected(store, logs)).faults
    assert "cannot be read" in fault
