"""Database and log files compared, and what can be repaired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from zlib import crc32

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.inspection import Inspection
from remote_server.logs import LogStore
from remote_server.store import Store, Terms
from tests.support.stored import finish, running, submitted


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    found = await Store.open(database_url, Terms("normal"))
    yield found
    await found.close()


@pytest.fixture
def logs(tmp_path: Path) -> LogStore:
    return LogStore(tmp_path / "logs")


async def inspected(store: Store, logs: LogStore, repair: bool = False) -> Inspection:
    found = Inspection(store, logs, repair)
    await found.run()
    return found


async def logged(store: Store, logs: LogStore, log: bytes) -> AttemptId:
    """A job that ended with this log."""
    key = await running(store)
    if log:
        logs.append(key, log)
    await finish(store, key, size=len(log), checksum=crc32(log))
    logs.close()
    return key


async def complete(store: Store, key: AttemptId) -> bool:
    (attempt,) = await store.attempts_of(key.job)
    return attempt.log_complete


async def test_a_sound_server(store: Store, logs: LogStore) -> None:
    for log in (b"x" * 12, b"", b"y" * 100_000):
        key = await logged(store, logs, log)
    await logs.pack(key)
    await submitted(store)
    await running(store)
    found = await inspected(store, logs)
    assert (found.faults, found.jobs) == ([], 5)


async def test_a_missing_log_is_named_and_marked(store: Store, logs: LogStore) -> None:
    key = await running(store)
    await finish(store, key, size=12)
    (fault,) = (await inspected(store, logs)).faults
    assert key.job in fault
    assert "missing (12 bytes)" in fault
    repaired = await inspected(store, logs, repair=True)
    assert repaired.repaired == 1
    assert (await inspected(store, logs)).faults == []


async def test_a_log_that_retention_removed_is_not_missed(store: Store, logs: LogStore) -> None:
    key = await logged(store, logs, b"x" * 12)
    await logs.delete(key)
    await store.logs_gone([key])
    assert (await inspected(store, logs)).faults == []


@pytest.mark.parametrize(
    ("now", "said"),
    [(b"hello", "has 5 of 12 bytes"), (b"hello worlds", "not those that were written")],
)
async def test_a_damaged_log_is_named_kept_and_marked(
    store: Store, logs: LogStore, now: bytes, said: str
) -> None:
    key = await logged(store, logs, b"hello world\n")
    logs.path(key).write_bytes(now)
    (fault,) = (await inspected(store, logs)).faults
    assert said in fault
    assert await complete(store, key)
    repaired = await inspected(store, logs, repair=True)
    assert "marked as incomplete" in repaired.faults[0]
    assert not await complete(store, key)
    assert logs.path(key).read_bytes() == now
    assert "log_incomplete" in [entry.what for entry in await store.timeline(key.job)]
    assert (await inspected(store, logs)).faults == []


async def test_many_logs_are_looked_at_page_by_page(store: Store, logs: LogStore) -> None:
    keys = [await logged(store, logs, b"hello world\n") for _ in range(5)]
    logs.path(keys[-1]).write_bytes(b"hello worlds")
    page = await store.kept_logs(limit=2)
    assert [log.key for log in page] == keys[:2]
    assert [log.key for log in await store.kept_logs(page[-1].key, 9)] == keys[2:]
    assert len((await inspected(store, logs)).faults) == 1


async def test_the_better_one_of_two_forms_is_kept(store: Store, logs: LogStore) -> None:
    log = b"x" * 100_000
    key = await logged(store, logs, log)
    plain, packed = logs.forms(key)
    await logs.pack(key)
    plain.write_bytes(log[:50_000] + b"?" * 50_000)
    (fault,) = (await inspected(store, logs)).faults
    assert "its packed form is sound" in fault
    await inspected(store, logs, repair=True)
    assert (plain.exists(), packed.exists()) == (False, True)
    assert (await inspected(store, logs)).faults == []
    assert logs.read(key, 99_990, 20) == b"x" * 10


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
    key = await logged(store, logs, b"x" * 100_000)
    await logs.pack(key)
    assert (await inspected(store, logs)).faults == []
    path = logs.path(key).with_suffix(".log.gz")
    path.write_bytes(path.read_bytes()[:-1])
    (fault,) = (await inspected(store, logs)).faults
    assert "cannot be read" in fault
