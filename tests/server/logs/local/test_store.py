"""`remote_server.logs.store` on real files: appends, followers, checksums, faults of the disk."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.disk.reserve import Disk, Reserve
from remote_server.logs import LogUnavailable
from remote_server.logs.local.store import MOST_OPEN, FileLogs
from tests.support.log_keys import new_key


def file_logs(root: Path, reserve: Reserve | None = None) -> FileLogs:
    return FileLogs(root, reserve or Reserve(root, 0))


def path_of(logs: FileLogs, key: AttemptId) -> Path:
    return Path(logs.where(key))


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[FileLogs]:
    root = tmp_path / "logs"
    root.mkdir(mode=0o700)
    found = file_logs(root)
    yield found
    found.close()


def test_files_and_folders_are_private_and_sharded_by_time(logs: FileLogs) -> None:
    old_umask = os.umask(0)
    try:
        key = new_key()
        logs.append(key, b"x")
    finally:
        os.umask(old_umask)
    path = path_of(logs, key)
    assert path == logs._root / key.job[:6] / f"{key.job}.1.log"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_running_checksum_survives_everything_but_a_restart(tmp_path: Path) -> None:
    logs, key = file_logs(tmp_path), new_key()
    logs.append(key, b"abc")
    logs.append(key, b"def")
    assert await logs.checksum(key, 6, "a") == crc32(b"abcdef")
    assert logs.known_checksum(key, 6) == crc32(b"abcdef")
    assert logs.known_checksum(key, 3) is None
    assert await logs.checksum(key, 3, "a") == crc32(b"abc"), (
        "what lies beyond the size is left out"
    )
    assert await logs.checksum(key, 7, "a") is None, "there are fewer bytes"
    logs.close()
    again = file_logs(tmp_path)
    again.append(key, b"ghi")
    assert again.known_checksum(key, 9) is None
    assert await again.checksum(key, 9, "a") == crc32(b"abcdefghi")
    again.close()


async def test_a_long_log_of_an_earlier_process_is_compared_too(tmp_path: Path) -> None:
    key, data = new_key(), os.urandom(3_000_000)
    first = file_logs(tmp_path)
    first.append(key, data)
    first.close()
    assert await file_logs(tmp_path).checksum(key, len(data), "a") == crc32(data)


def test_only_a_bounded_number_of_descriptors_is_open(logs: FileLogs) -> None:
    before = len(os.listdir("/proc/self/fd"))
    keys = [new_key(attempt=number) for number in range(1, MOST_OPEN + 100)]
    for turn in (b"a", b"b"):
        for key in keys:
            logs.append(key, turn)
    assert len(os.listdir("/proc/self/fd")) <= before + MOST_OPEN
    assert all(logs.read(key, 0, 9) == b"ab" for key in keys)


async def test_sync_reaches_logs_whose_descriptor_was_closed(
    logs: FileLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []
    real = os.fdatasync

    def spy(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, True))
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", spy)
    key = new_key()
    logs.append(key, b"early")
    inode = path_of(logs, key).stat().st_ino
    for _ in range(MOST_OPEN):
        logs.append(new_key(), b"x")
    await logs.sync(key)
    assert synced == [(inode, True)]


async def test_the_name_of_a_log_is_made_durable_once(
    logs: FileLogs, monkeypatch: pytest.MonkeyPatch
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
    path = path_of(logs, key)
    above = [path.parent, logs._root]
    assert folders == [folder.stat().st_ino for folder in above]
    await logs.sync(key)
    assert len(folders) == 2
    neighbour = AttemptId(new_key().job, 1)
    logs.append(neighbour, b"y")
    await logs.sync(neighbour)
    assert len(folders) == 3, "the folder of these minutes has a durable name already"
    # The last log of these minutes takes their folder with it; the next one makes it anew.
    logs.delete(key)
    logs.delete(neighbour)
    assert not path.parent.exists()
    logs.append(neighbour, b"y")
    await logs.sync(neighbour)
    assert folders[3:] == [folder.stat().st_ino for folder in above]


def test_a_full_disk_leaves_the_log_as_it_was(
    logs: FileLogs, monkeypatch: pytest.MonkeyPatch
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
    logs: FileLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    logs.append(key, b"ab")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", _no_space)
        with pytest.raises(LogUnavailable):
            logs.append(key, b"cd")
    logs.append(key, b"ef")
    assert await logs.checksum(key, 4, "a") == crc32(b"abef")


def _no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file, not a folder")
    logs = file_logs(tmp_path / "logs")
    with pytest.raises(LogUnavailable, match="logs"):
        logs.append(new_key(), b"x")
    with pytest.raises(LogUnavailable):
        logs.length(new_key())


def test_deleting_removes_empty_folders_only(logs: FileLogs) -> None:
    first = new_key()
    second = AttemptId(first.job, 2)
    logs.append(first, b"x")
    logs.append(second, b"y")
    logs.delete(first)
    assert logs.read(second, 0, 9) == b"y"
    logs.delete(second)
    logs.delete(second)
    assert list(logs._root.iterdir()) == []
    assert logs.length(first) is None


def test_a_gap_that_cannot_be_written_leaves_the_length_true(
    logs: FileLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    logs.append(key, b"0123")
    monkeypatch.setattr(os, "pwrite", _no_space)
    with pytest.raises(LogUnavailable):
        logs.extend(key, 300, b"note", b"\n")
    assert path_of(logs, key).stat().st_size == logs.length(key) == 4


def test_a_gap_is_a_hole(logs: FileLogs) -> None:
    key = new_key()
    logs.extend(key, 1 << 34, b"note", b"\n")
    assert path_of(logs, key).stat().st_blocks * 512 < 1 << 20


async def test_a_log_that_is_put_back_whole_is_durable_and_private(
    logs: FileLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _no_space)
        with pytest.raises(LogUnavailable, match="No space"):
            logs.restore(key, [b"x"])
    assert list(path_of(logs, key).parent.iterdir()) == []
    logs.restore(key, [b"x"])
    assert stat.S_IMODE(path_of(logs, key).stat().st_mode) == 0o600


def test_the_reserve_stops_appends_and_the_probe(tmp_path: Path) -> None:
    logs = file_logs(tmp_path, Reserve(tmp_path, 1 << 30, lambda: Disk(1 << 40, 5)))
    for call in (lambda: logs.append(new_key(), b"x"), logs.probe):
        with pytest.raises(LogUnavailable, match="below its reserve"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_what_is_set_aside_lies_beside(logs: FileLogs) -> None:
    key = new_key()
    logs.append(key, b"precious")
    place = Path(logs.set_aside(key))
    assert place == logs._root.with_name("logs.orphaned") / f"{key}.log"
    assert place.read_bytes() == b"precious"
    assert list(logs._root.iterdir()) == []


def test_other_files_are_no_logs(logs: FileLogs) -> None:
    key = new_key()
    logs.append(key, b"x")
    for name in (f"{key}.part", "x.log", f"{key.job}.{1 << 64}.log", f"{key.job}.02.log"):
        (path_of(logs, key).parent / name).write_bytes(b"?")
    for foreign in (
        "lost+found",
        "some/notes",
        f"some/{key.job}",
        b"\xff/\xff".decode(errors="surrogateescape"),
    ):
        (logs._root / foreign).mkdir(parents=True)
        (logs._root / foreign / f"{key}.log").write_bytes(b"?")
    assert list(logs.listing()) == [(key, 1)]
