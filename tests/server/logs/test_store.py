"""`remote_server.logs.store` on real files: appends, followers, checksums, faults of the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid
from remote_server.logs import LogStore, LogUnavailable
from remote_server.logs.store import MOST_OPEN


def new_key(number: int = 0, attempt: int = 1) -> AttemptId:
    """An attempt whose job was made at a time that `number` (17 minutes each) chooses."""
    return AttemptId(make_ulid(1_800_000_000_000 + (number << 20), os.urandom(10)), attempt)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[LogStore]:
    root = tmp_path / "logs"
    root.mkdir(mode=0o700)
    found = LogStore(root)
    yield found
    found.close()


def test_bytes_are_appended_and_read_back(logs: LogStore) -> None:
    key = new_key()
    assert logs.length(key) == 0
    assert logs.read(key, 0, 10) == b""
    assert logs.append(key, b"hello ") == 6
    assert logs.append(key, memoryview(b"world")) == 11
    assert logs.length(key) == 11
    assert logs.read(key, 0, 100) == b"hello world"
    assert logs.read(key, 6, 3) == b"wor"
    assert logs.read(key, 11, 3) == b""
    assert logs.received == 11
    assert logs.path(key).read_bytes() == b"hello world"


def test_files_and_folders_are_private_and_sharded_by_time(logs: LogStore) -> None:
    old_umask = os.umask(0)
    try:
        key = new_key()
        logs.append(key, b"x")
    finally:
        os.umask(old_umask)
    path = logs.path(key)
    assert path == logs.root / key.job[:6] / key.job / "1.log"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


def test_attempts_of_a_job_do_not_mix(logs: LogStore) -> None:
    first = new_key()
    second = AttemptId(first.job, 2)
    logs.append(first, b"one")
    logs.append(second, b"two")
    assert (logs.read(first, 0, 9), logs.read(second, 0, 9)) == (b"one", b"two")


async def test_the_running_checksum_survives_everything_but_a_restart(tmp_path: Path) -> None:
    logs, key = LogStore(tmp_path), new_key()
    logs.append(key, b"abc")
    logs.append(key, b"def")
    assert await logs.checksum(key, 6) == crc32(b"abcdef")
    assert logs.known_checksum(key, 6) == crc32(b"abcdef")
    assert logs.known_checksum(key, 3) is None
    assert logs.known_checksum(new_key(), 0) == 0
    assert await logs.checksum(key, 3) == crc32(b"abc"), "what lies beyond the size is left out"
    assert await logs.checksum(key, 7) is None, "there are fewer bytes"
    logs.close()
    again = LogStore(tmp_path)
    again.append(key, b"ghi")
    assert again.known_checksum(key, 9) is None
    assert await again.checksum(key, 9) == crc32(b"abcdefghi")
    assert await again.checksum(new_key(), 0) == 0
    again.close()


async def test_a_long_log_of_an_earlier_process_is_compared_too(tmp_path: Path) -> None:
    key, data = new_key(), os.urandom(3_000_000)
    first = LogStore(tmp_path)
    first.append(key, data)
    first.close()
    assert await LogStore(tmp_path).checksum(key, len(data)) == crc32(data)


async def test_a_log_begins_without_what_lies_there(logs: LogStore) -> None:
    key = new_key()
    logs.append(key, b"of somebody else\n")
    await logs.pack(key)
    logs.append(key, b"open again\n")
    logs.begin(key)
    assert logs.length(key) == 0
    assert not any(form.exists() for form in logs.forms(key))
    logs.append(key, b"own\n")
    assert logs.read(key, 0, 100) == b"own\n"
    assert logs.known_checksum(key, 4) is not None


async def test_truncating_starts_again(logs: LogStore) -> None:
    key = new_key()
    logs.append(key, b"damaged")
    logs.truncate(key)
    assert logs.length(key) == 0
    logs.append(key, b"right")
    assert logs.read(key, 0, 99) == b"right"
    assert await logs.checksum(key, 5) == crc32(b"right")


def test_only_a_bounded_number_of_descriptors_is_open(logs: LogStore) -> None:
    before = len(os.listdir("/proc/self/fd"))
    keys = [new_key(attempt=number) for number in range(1, MOST_OPEN + 100)]
    for turn in (b"a", b"b"):
        for key in keys:
            logs.append(key, turn)
    assert len(os.listdir("/proc/self/fd")) <= before + MOST_OPEN
    assert all(logs.read(key, 0, 9) == b"ab" for key in keys)


async def test_sync_reaches_logs_whose_descriptor_was_closed(
    logs: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []
    real = os.fdatasync

    def spy(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, True))
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", spy)
    key = new_key()
    logs.append(key, b"early")
    inode = logs.path(key).stat().st_ino
    for _ in range(MOST_OPEN):
        logs.append(new_key(), b"x")
    await logs.sync(key)
    assert synced == [(inode, True)]


async def test_the_name_of_a_log_is_made_durable_once(
    logs: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[int] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        folders.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    key = new_key()
    logs.append(key, b"x" * 100_000)
    await logs.sync(key)
    path = logs.path(key)
    above = [path.parent, path.parent.parent, logs.root]
    assert folders == [folder.stat().st_ino for folder in above]
    await logs.sync(key)
    assert len(folders) == 3
    neighbour = AttemptId(new_key().job, 1)
    logs.append(neighbour, b"y")
    await logs.sync(neighbour)
    assert len(folders) == 5, "the folder of these minutes has a durable name already"


async def test_followers_are_woken_by_growth_and_by_the_end(logs: LogStore) -> None:
    key, other, changed = new_key(), new_key(), asyncio.Event()
    with logs.follow(key, changed):
        logs.append(other, b"x")
        assert not changed.is_set()
        logs.append(key, b"x")
        assert changed.is_set()
        changed.clear()
        logs.finish(key)
        assert changed.is_set()
    changed.clear()
    logs.append(key, b"y")
    assert not changed.is_set()


async def test_two_followers_of_one_log(logs: LogStore) -> None:
    key, one, two = new_key(), asyncio.Event(), asyncio.Event()
    with logs.follow(key, one):
        with logs.follow(key, two):
            logs.append(key, b"x")
            assert one.is_set()
            assert two.is_set()
        one.clear()
        logs.append(key, b"x")
        assert one.is_set()


def test_a_full_disk_leaves_the_log_as_it_was(
    logs: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    logs.append(key, b"kept")
    real = os.pwrite

    def half(descriptor: int, data: memoryview, offset: int) -> int:
        if len(data) <= 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:-50], offset)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(LogUnavailable, match="No space left"):
        logs.append(key, b"y" * 100)
    monkeypatch.setattr(os, "pwrite", real)
    assert logs.length(key) == 4, "what was written of it is taken back"
    assert logs.read(key, 0, 99) == b"kept"
    assert logs.append(key, b"more") == 8
    assert logs.read(key, 0, 99) == b"keptmore"


async def test_the_checksum_is_right_after_a_failed_append(
    logs: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    logs.append(key, b"ab")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", _no_space)
        with pytest.raises(LogUnavailable):
            logs.append(key, b"cd")
    logs.append(key, b"ef")
    assert await logs.checksum(key, 4) == crc32(b"abef")


def _no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file, not a folder")
    logs = LogStore(tmp_path / "logs")
    with pytest.raises(LogUnavailable, match="logs"):
        logs.append(new_key(), b"x")
    with pytest.raises(LogUnavailable):
        logs.length(new_key())


async def test_deleting_removes_empty_folders_only(logs: LogStore) -> None:
    first = new_key()
    second = AttemptId(first.job, 2)
    logs.append(first, b"x")
    logs.append(second, b"y")
    await logs.delete(first)
    assert logs.read(second, 0, 9) == b"y"
    await logs.delete(second)
    await logs.delete(second)
    assert list(logs.root.iterdir()) == []
    assert logs.length(first) == 0


async def test_packed_logs_read_like_plain_ones(logs: LogStore) -> None:
    key = new_key()
    data = b"".join(b"%08d line of the log\n" % number for number in range(60_000))
    logs.append(key, data)
    logs.finish(key)
    assert list(logs.finished) == [key]
    assert await logs.pack(key)
    assert not logs.path(key).exists()
    assert logs.path(key).with_suffix(".log.gz").stat().st_size < len(data) / 5
    assert logs.length(key) == len(data)
    assert logs.read(key, 0, len(data) + 5) == data
    assert logs.read(key, 999_999, 300_000) == data[999_999:1_299_999]
    assert logs.read(key, len(data), 10) == b""
    await logs.delete(key)
    assert logs.read(key, 0, 10) == b""
    assert list(logs.root.iterdir()) == []


async def test_short_logs_are_not_worth_packing(tmp_path: Path) -> None:
    logs, short, long = LogStore(tmp_path, worth_packing=100), new_key(1), new_key(2)
    logs.append(short, b"x" * 99)
    logs.append(long, b"x" * 100)
    logs.finish(short)
    logs.finish(long)
    assert list(logs.finished) == [long]
    assert list(logs.plain()) == [long]
    assert list(logs.jobs()) == [short.job, long.job]


async def test_a_packed_log_that_must_grow_after_all_is_unpacked(logs: LogStore) -> None:
    # Only after the database was restored from an older backup.
    key = new_key()
    logs.append(key, b"x" * 300_000)
    await logs.pack(key)
    assert await logs.checksum(key, 300_000) == crc32(b"x" * 300_000)
    logs.append(key, b"tail")
    assert logs.length(key) == 300_004
    assert logs.read(key, 299_999, 99) == b"xtail"
    assert not logs.path(key).with_suffix(".log.gz").exists()


async def test_a_log_deleted_while_it_is_packed_stays_deleted(logs: LogStore) -> None:
    key = new_key()
    logs.append(key, os.urandom(4_000_000))
    packing = asyncio.ensure_future(logs.pack(key))
    part = logs.path(key).with_suffix(".log.part")
    async with asyncio.timeout(10):
        while not part.exists() and not packing.done():
            await asyncio.sleep(0)
    await logs.delete(key)
    assert await packing is False
    assert list(logs.root.iterdir()) == []


def test_a_log_can_be_cut_and_filled(logs: LogStore) -> None:
    key = new_key()
    logs.append(key, b"0123456789")
    logs.truncate(key, 20)
    assert logs.length(key) == 10
    logs.truncate(key, 4)
    logs.append(key, b"ab")
    logs.fill(key, 3, 1.0)
    assert logs.read(key, 0, 99) == b"0123ab"
    logs.fill(key, 300, 1.0)
    logs.append(key, b"end")
    assert logs.length(key) == 303
    data = logs.read(key, 0, 999)
    assert (data[:6], data[299:]) == (b"0123ab", b"\nend")
    assert logs.known_checksum(key, 303) is None, "it was not computed along the way"


def test_a_gap_that_cannot_be_written_leaves_the_length_true(
    logs: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    logs.append(key, b"0123")
    monkeypatch.setattr(os, "pwrite", _no_space)
    with pytest.raises(LogUnavailable):
        logs.fill(key, 300, 1.0)
    assert logs.path(key).stat().st_size == logs.length(key) == 4


async def test_packing_fails_without_harm(logs: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    logs.append(key, b"x" * 100_000)
    monkeypatch.setattr(os, "fsync", _no_space)
    with pytest.raises(LogUnavailable):
        await logs.pack(key)
    assert [path.name for path in logs.path(key).parent.iterdir()] == ["1.log"]
    assert logs.read(key, 99_990, 99) == b"x" * 10


async def test_a_damaged_packed_log_is_named_not_shown(logs: LogStore) -> None:
    key = new_key()
    logs.append(key, os.urandom(600_000))
    await logs.pack(key)
    path = logs.path(key).with_suffix(".log.gz")
    raw = bytearray(path.read_bytes())
    raw[300_000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(LogUnavailable, match="damaged"):
        logs.read(key, 0, 600_000)
    path.write_bytes(raw[:-1])
    with pytest.raises(LogUnavailable):
        logs.length(key)


def test_a_probe_says_whether_logs_can_be_written(tmp_path: Path) -> None:
    store = LogStore(tmp_path / "logs")
    with pytest.raises(LogUnavailable, match="logs cannot be written"):
        store.probe()
    store.root.mkdir()
    store.probe()
    assert list(store.root.iterdir()) == []
