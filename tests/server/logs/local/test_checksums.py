"""Checksums of long logs: right, and owners take turns."""

from __future__ import annotations

import asyncio
from pathlib import Path
from zlib import crc32

import pytest

from remote_server.logs.local import checksums as module
from remote_server.logs.local.checksums import Checksums


async def test_they_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 1000)
    data = bytes(range(256)) * 40
    path = tmp_path / "log"
    path.write_bytes(data)
    sums = Checksums()
    for size in (0, 1, 999, 1000, 1001, len(data)):
        assert await sums.crc("a", path, size) == crc32(data[:size])
    assert await sums.crc("a", path, len(data) + 5000) == crc32(data)
    with pytest.raises(FileNotFoundError):
        await sums.crc("a", tmp_path / "gone", 5)
    assert await sums.crc("a", path, 10) == crc32(data[:10]), "a failure keeps no thread"
    sums.close()


async def test_an_honest_log_does_not_wait_for_a_rogues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 4096)
    huge, small = tmp_path / "huge", tmp_path / "small"
    small.write_bytes(b"x" * 5000)
    with huge.open("wb") as file:
        file.truncate(4096 * 2000)
    sums = Checksums()
    rogue = [asyncio.ensure_future(sums.crc("rogue", huge, 4096 * 2000)) for _ in range(50)]
    await asyncio.sleep(0)
    assert await sums.crc("honest", small, 5000) == crc32(b"x" * 5000)
    assert not any(task.done() for task in rogue)
    for task in rogue:
        task.cancel()
    await asyncio.gather(*rogue, return_exceptions=True)
    assert await sums.crc("honest", small, 5000) == crc32(b"x" * 5000)
    sums.close()


async def test_whoever_is_cancelled_when_its_turn_has_come_keeps_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 5000)
    sums = Checksums()
    for _ in range(module.THREADS):
        await sums._turn("busy")
    waiting = [asyncio.ensure_future(sums.crc("late", path, 5000)) for _ in range(module.THREADS)]
    await asyncio.sleep(0)
    for task in waiting:
        sums._next()
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(20):
        assert await sums.crc("honest", path, 5000) == crc32(b"x" * 5000)
    sums.close()
