"""Contents as files: where they lie, and what a full or broken disk does."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_server.contents import ContentUnavailable, LocalContents
from remote_server.contents.ports import PartKey
from remote_server.disk.reserve import Disk, Reserve

DIGEST = "ab" * 32
KEY = PartKey(DIGEST, "01KADVTZ7WSMA11ESTSMA11EST")


async def test_where_they_are(tmp_path: Path) -> None:
    store = LocalContents(tmp_path, Reserve(tmp_path, 0))
    store.append(KEY, 0, memoryview(b"abc"))
    part = tmp_path / "parts" / f"{DIGEST}.{KEY.owner}"
    assert part.read_bytes() == b"abc" and part.stat().st_mode & 0o777 == 0o600
    await store.finish(KEY)
    whole = tmp_path / "ab" / DIGEST
    assert not part.exists() and whole.read_bytes() == b"abc"
    for folder in (whole.parent, part.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_what_a_failed_write_has_left_is_written_over(tmp_path: Path) -> None:
    store = LocalContents(tmp_path, Reserve(tmp_path, 0))
    store.append(KEY, 0, memoryview(b"abcdef"))
    store.append(KEY, 3, memoryview(b"XYZ!"))
    assert (tmp_path / "parts" / f"{DIGEST}.{KEY.owner}").read_bytes() == b"abcXYZ!"


def test_below_the_reserve_nothing_is_taken(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, 1000, measure=lambda: Disk(100_000, 1))
    store = LocalContents(tmp_path, reserve)
    with pytest.raises(ContentUnavailable, match="below its reserve"):
        store.append(KEY, 0, memoryview(b"x"))


async def test_a_broken_disk_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "parts").write_text("in the way")
    store = LocalContents(tmp_path, Reserve(tmp_path, 0))
    with pytest.raises(ContentUnavailable, match="cannot be written or read"):
        store.append(KEY, 0, memoryview(b"x"))
    with pytest.raises(ContentUnavailable):
        await store.read(DIGEST, 0, 1)
