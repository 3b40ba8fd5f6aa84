"""`remote_server.logs.local.archive` on real files: durable, private, faults of a mount."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_server.logs import ArchiveUnavailable
from remote_server.logs.local.archive import DirectoryArchive


@pytest.fixture
async def archive(tmp_path: Path):
    (tmp_path / "archive").mkdir()
    found = DirectoryArchive(tmp_path / "archive")
    yield found
    found.close()


async def test_files_and_folders_are_private(archive: DirectoryArchive, tmp_path: Path) -> None:
    old_umask = os.umask(0)
    try:
        await archive.put("a/b/c.gz", [b"x"])
    finally:
        os.umask(old_umask)
    path = tmp_path / "archive" / "a" / "b" / "c.gz"
    assert str(path) == archive.where("a/b/c.gz")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in path.parents[:2]} == {0o700}


async def test_file_and_new_names_are_durable_before_a_put_is_done(
    archive: DirectoryArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    await archive.put("a/b/c", [b"x"])
    root = tmp_path / "archive"
    wanted = [root / "a", root, root / "a" / "b" / "c", root / "a" / "b"]
    assert synced == [path.stat().st_ino for path in wanted]
    synced.clear()
    await archive.put("a/b/d", [b"x"])
    assert len(synced) == 2


async def test_a_missing_mount_is_no_empty_archive(tmp_path: Path) -> None:
    archive = DirectoryArchive(tmp_path / "share" / "logs")
    for call in (
        archive.put("a/b", [b"x"]),
        archive.get("a/b", 0, 1),
        archive.size("a/b"),
        archive.delete("a/b"),
        archive.names(),
    ):
        with pytest.raises(ArchiveUnavailable, match="mount it, or make the directory"):
            await call
    assert list(tmp_path.iterdir()) == []
    archive.close()


async def test_a_full_disk_leaves_nothing(
    archive: DirectoryArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive.put("a/b", [b"old"])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ArchiveUnavailable, match="No space left"):
            await archive.put("a/b", [b"new"])
    assert [path.name for path in (tmp_path / "archive" / "a").iterdir()] == ["b"]
    assert await archive.get("a/b", 0, 9) == b"old"


async def test_what_a_crash_has_left_is_removed_by_the_next_put(
    archive: DirectoryArchive, tmp_path: Path
) -> None:
    folder = tmp_path / "archive" / "a"
    folder.mkdir()
    (folder / ".b.00ff.part").write_bytes(b"half")
    (folder / ".other.00ff.part").write_bytes(b"somebody else's")
    assert list(await archive.names()) == []
    await archive.put("a/b", [b"x"])
    assert sorted(path.name for path in folder.iterdir()) == [".other.00ff.part", "b"]
    (folder / ".b.00ff.part").write_bytes(b"half")
    await archive.delete("a/b")
    await archive.delete("a/other")
    assert not folder.exists()


async def test_a_put_that_hangs_keeps_nobody_from_reading(archive: DirectoryArchive) -> None:
    await archive.put("old", [b"old"])
    go = threading.Event()

    def slow() -> Iterator[bytes]:
        yield b"half"
        go.wait(30)
        yield b"whole"

    putting = asyncio.ensure_future(archive.put("new", slow()))
    try:
        for _ in range(20):
            assert await archive.get("old", 0, 9) == b"old"
        assert await archive.size("new") is None
    finally:
        go.set()
    await putting
    assert await archive.get("new", 0, 99) == b"halfwhole"


async def test_puts_that_are_given_up_keep_nobody_from_reading(archive: DirectoryArchive) -> None:
    await archive.put("old", [b"old"])
    go = threading.Event()

    def hangs() -> Iterator[bytes]:
        yield b"half"
        go.wait(30)
        raise ArchiveUnavailable("it was given up")

    puts = [asyncio.ensure_future(archive.put(f"new{n}", hangs())) for n in range(6)]
    try:
        for put in puts:
            done, _ = await asyncio.wait({put}, timeout=0.01)
            assert not done
            put.cancel()
        assert await archive.get("old", 0, 9) == b"old"
    finally:
        go.set()
    # The next one waits for the one that hung, and no longer.
    await archive.put("newer", [b"newer"])
    assert await archive.size("new0") is None


async def test_a_put_ends_with_the_server(archive: DirectoryArchive, tmp_path: Path) -> None:
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow() -> Iterator[bytes]:
        yield b"half"
        loop.call_soon_threadsafe(begun.set)
        go.wait(30)
        yield b"whole"

    putting = asyncio.ensure_future(archive.put("a", slow()))
    await begun.wait()
    archive.close()
    go.set()
    with pytest.raises(ArchiveUnavailable, match="stopping"):
        await putting
    with pytest.raises(ArchiveUnavailable, match="stopping"):
        await archive.size("a")
    assert list((tmp_path / "archive").iterdir()) == []


async def test_a_folder_that_was_removed_by_hand(archive: DirectoryArchive, tmp_path: Path) -> None:
    await archive.put("a/b", [b"x"])
    shutil.rmtree(tmp_path / "archive" / "a")
    assert await archive.size("a/b") is None
    await archive.put("a/b", [b"y"])
    assert await archive.get("a/b", 0, 9) == b"y"


async def test_links_are_not_followed_when_names_are_listed(
    archive: DirectoryArchive, tmp_path: Path
) -> None:
    await archive.put("a/b", [b"x"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c").write_bytes(b"not of the archive")
    for name, target in (("up", "."), ("up2", "."), ("away", "../other"), ("lost", "nowhere")):
        (tmp_path / "archive" / name).symlink_to(target)
    (tmp_path / "archive" / "self").symlink_to("self")
    assert await archive.names() == ["a/b", "away", "lost", "self", "up", "up2"]
