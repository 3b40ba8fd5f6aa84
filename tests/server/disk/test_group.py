"""`remote_server.disk.group` on real files: rounds are shared, faults are not."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from remote_server.disk import group
from remote_server.disk.files import sync_folder
from remote_server.disk.group import GroupSync


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[int, Path]]:
    found = []
    for number in range(20):
        path = tmp_path / str(number % 2) / f"{number}.log"
        path.parent.mkdir(exist_ok=True)
        found.append((os.open(path, os.O_RDWR | os.O_CREAT), path))
        os.write(found[-1][0], b"x")
    return found


async def test_those_who_wait_share_a_round(
    files: list[tuple[int, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: Counter[Path] = Counter()
    synced: Counter[int] = Counter()
    real_folder, real_file = sync_folder, os.fdatasync

    def folder(path: Path) -> None:
        folders[path] += 1
        real_folder(path)

    def file(descriptor: int) -> None:
        synced[descriptor] += 1
        real_file(descriptor)

    monkeypatch.setattr(group, "sync_folder", folder)
    monkeypatch.setattr(os, "fdatasync", file)
    sync = GroupSync()
    await asyncio.gather(*(sync.sync(fd, [path.parent, path.parent.parent]) for fd, path in files))
    assert synced == Counter({fd: 1 for fd, _ in files})
    assert set(folders.values()) == {1}
    assert len(folders) == 3
    await sync.sync(files[0][0], [])
    assert sync._work is None
    for fd, _ in files:
        os.close(fd)


async def test_a_fault_reaches_those_it_concerns(files: list[tuple[int, Path]]) -> None:
    sync = GroupSync()
    good, bad, closed = files[:3]
    os.close(closed[0])
    missing = bad[1].parent / "gone"
    results = await asyncio.gather(
        sync.sync(good[0], [good[1].parent]),
        sync.sync(bad[0], [bad[1].parent, missing]),
        sync.sync(closed[0], []),
        return_exceptions=True,
    )
    assert results[0] is None
    assert isinstance(results[1], FileNotFoundError)
    assert isinstance(results[2], OSError)
    await sync.sync(good[0], [])
    for fd, _ in [*files[:2], *files[3:]]:
        os.close(fd)


async def test_one_that_gave_up_waiting_disturbs_nobody(files: list[tuple[int, Path]]) -> None:
    sync = GroupSync()
    waits = [asyncio.ensure_future(sync.sync(fd, [])) for fd, _ in files]
    await asyncio.sleep(0)
    waits[3].cancel()
    done = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(result) for result in done].count(asyncio.CancelledError) == 1
    assert sum(result is None for result in done) == len(files) - 1
    for fd, _ in files:
        os.close(fd)


async def test_a_defect_leaves_nobody_waiting(
    files: list[tuple[int, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "_round", lambda wishes: 1 // 0)
    sync = GroupSync()
    results = await asyncio.gather(*(sync.sync(fd, []) for fd, _ in files), return_exceptions=True)
    assert {type(result) for result in results} == {ZeroDivisionError}
    monkeypatch.undo()
    await sync.sync(files[0][0], [])
    for fd, _ in files:
        os.close(fd)
