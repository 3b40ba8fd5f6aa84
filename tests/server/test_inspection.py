"""Database and log files compared, and what can be repaired."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from zlib import crc32

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.disk.reserve import Reserve
from remote_server.inspection import Inspection
from remote_server.logs import ArchiveUnavailable, Logs
from remote_server.logs.archived import name_of
from remote_server.logs.local.archive import DirectoryArchive
from remote_server.logs.opening import open_logs
from remote_server.store import Store, Terms
from tests.support.stored import finish, running, submitted


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    found = await Store.open(database_url, Terms("normal"))
    yield found
    await found.close()


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    archive = tmp_path / "archive"
    archive.mkdir()
    return open_logs(tmp_path / "logs", DirectoryArchive(archive), Reserve(tmp_path, 0), 1000)


def path_of(logs: Logs, key: AttemptId) -> Path:
    return Path(logs.store.where(key))


async def inspected(store: Store, logs: Logs, repair: bool = False) -> Inspection:
    found = Inspection(store, logs, repair)
    await found.run()
    return found


async def logged(store: Store, logs: Logs, log: bytes) -> AttemptId:
    """A job that ended with this log."""
    key = await running(store)
    if log:
        logs.append(key, log)
    await finish(store, key, size=len(log), checksum=crc32(log))
    logs.store.close()
    return key


async def complete(store: Store, key: AttemptId) -> bool:
    (attempt,) = await store.attempts_of(key.job)
    return attempt.log_complete


async def test_a_sound_server(store: Store, logs: Logs) -> None:
    for log in (b"x" * 12, b"", b"y" * 100_000):
        key = await logged(store, logs, log)
    await logs.pack(key)
    await submitted(store)
    await running(store)
    found = await inspected(store, logs)
    assert (found.faults, found.jobs) == ([], 5)


async def test_a_missing_log_is_named_and_marked(store: Store, logs: Logs) -> None:
    key = await running(store)
    await finish(store, key, size=12)
    (fault,) = (await inspected(store, logs)).faults
    assert key.job in fault
    assert "missing (12 bytes)" in fault
    repaired = await inspected(store, logs, repair=True)
    assert repaired.repaired == 1
    assert (await inspected(store, logs)).faults == []


async def test_logs_of_an_empty_archive_are_not_taken_for_lost(
    store: Store, logs: Logs, tmp_path: Path
) -> None:
    packed = [await logged(store, logs, b"x" * 5000) for _ in range(2)]
    small = await logged(store, logs, b"y" * 10)
    for key in packed:
        await logs.pack(key)
    path_of(logs, small).unlink()
    archive, away = tmp_path / "archive", tmp_path / "away"
    archive.rename(away)
    archive.mkdir()  # the mount point, on which nothing is mounted
    found = await inspected(store, logs, repair=True)
    missing, unsure = found.faults
    assert small.job in missing and "marked as removed" in missing
    assert "2 logs (10000 bytes) that may have been packed are missing" in unsure
    assert f"the archive {archive} is empty" in unsure and "mount it" in unsure
    assert "check --repair --archive-lost" in unsure
    assert found.repaired == 1
    # Nothing has happened to them.
    archive.rmdir()
    away.rename(archive)
    assert (await inspected(store, logs)).faults == []


async def test_an_archive_that_is_lost_is_given_up_when_asked(store: Store, logs: Logs) -> None:
    key = await logged(store, logs, b"x" * 5000)
    await logs.pack(key)
    await logs.archived.delete(key)
    found = Inspection(store, logs, True, archive_lost=True)
    await found.run()
    (fault,) = found.faults
    assert key.job in fault and "marked as removed" in fault
    assert (await inspected(store, logs)).faults == []


async def test_a_log_that_retention_removed_is_not_missed(store: Store, logs: Logs) -> None:
    key = await logged(store, logs, b"x" * 12)
    await logs.delete(key)
    await store.logs_gone([key])
    assert (await inspected(store, logs)).faults == []


@pytest.mark.parametrize(
    ("now", "said"),
    [(b"hello", "has 5 of 12 bytes"), (b"hello worlds", "not those that were written")],
)
async def test_a_damaged_log_is_named_kept_and_marked(
    store: Store, logs: Logs, now: bytes, said: str
) -> None:
    key = await logged(store, logs, b"hello world\n")
    path_of(logs, key).write_bytes(now)
    (fault,) = (await inspected(store, logs)).faults
    assert said in fault
    assert await complete(store, key)
    repaired = await inspected(store, logs, repair=True)
    assert "marked as incomplete" in repaired.faults[0]
    assert not await complete(store, key)
    assert path_of(logs, key).read_bytes() == now
    assert "log_incomplete" in [entry.what for entry in await store.timeline(key.job)]
    assert (await inspected(store, logs)).faults == []


async def test_many_logs_are_looked_at_page_by_page(store: Store, logs: Logs) -> None:
    keys = [await logged(store, logs, b"hello world\n") for _ in range(5)]
    path_of(logs, keys[-1]).write_bytes(b"hello worlds")
    page = await store.kept_logs(limit=2)
    assert [log.key for log in page] == keys[:2]
    assert [log.key for log in await store.kept_logs(page[-1].key, 9)] == keys[2:]
    assert len((await inspected(store, logs)).faults) == 1


async def test_the_better_one_of_two_forms_is_kept(store: Store, logs: Logs) -> None:
    log = b"x" * 100_000
    key = await logged(store, logs, log)
    plain, packed = path_of(logs, key), Path(logs.archived.where(key))
    await logs.pack(key)
    plain.parent.mkdir(parents=True)
    plain.write_bytes(log[:50_000] + b"?" * 50_000)
    (fault,) = (await inspected(store, logs)).faults
    assert "its packed form is sound" in fault
    await inspected(store, logs, repair=True)
    assert (plain.exists(), packed.exists()) == (False, True)
    assert (await inspected(store, logs)).faults == []
    assert await logs.read(key, 99_990, 20) == b"x" * 10


async def test_a_log_without_a_job_is_moved_aside(store: Store, logs: Logs) -> None:
    key = await running(store)
    unknown = key._replace(job="01ARZ3NDEKTSV4RRFFQ69G5FAV")
    logs.append(key, b"x")
    logs.append(unknown, b"precious")
    logs.store.close()
    (fault,) = (await inspected(store, logs)).faults
    assert unknown.job in fault
    repaired = await inspected(store, logs, repair=True)
    assert repaired.repaired == 1
    aside = path_of(logs, key).parents[1].with_name("logs.orphaned") / f"{unknown}.log"
    assert aside.read_bytes() == b"precious"
    assert (await inspected(store, logs)).faults == []


async def test_a_damaged_packed_log_is_named(store: Store, logs: Logs) -> None:
    key = await logged(store, logs, b"x" * 100_000)
    await logs.pack(key)
    assert (await inspected(store, logs)).faults == []
    path = Path(logs.archived.where(key))
    path.write_bytes(path.read_bytes()[:-1])
    (fault,) = (await inspected(store, logs)).faults
    assert "cannot be read" in fault


async def test_a_packed_log_without_a_job_is_set_aside_in_the_archive(
    store: Store, logs: Logs
) -> None:
    unknown = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1)
    logs.append(unknown, b"precious")
    await logs.pack(unknown)
    (fault,) = (await inspected(store, logs)).faults
    assert logs.archived.where(unknown) in fault
    assert (await inspected(store, logs, repair=True)).repaired == 1
    assert await logs.size(unknown) == 0
    aside = Path(logs.archived.where(unknown)).parents[2] / "orphaned" / name_of(unknown)
    assert gzip.decompress(aside.read_bytes()) == b"precious"
    assert (await inspected(store, logs)).faults == []


async def test_an_archive_that_is_away_is_not_taken_for_lost_logs(
    store: Store, logs: Logs, tmp_path: Path
) -> None:
    key = await logged(store, logs, b"x" * 100_000)
    await logs.pack(key)
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    with pytest.raises(ArchiveUnavailable, match="mount it"):
        await inspected(store, logs, True)
    (tmp_path / "elsewhere").rename(tmp_path / "archive")
    assert (await inspected(store, logs)).faults == []
