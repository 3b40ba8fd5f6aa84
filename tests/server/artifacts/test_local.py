"""Artifacts as files: where they lie, and what a full or broken disk does."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.artifacts import ArtifactUnavailable, LocalArtifacts
from remote_server.disk.reserve import Disk, Reserve

KEY = AttemptId("01KADVTZ7WSMA11ESTSMA11EST", 2)


async def test_where_they_are(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path, Reserve(tmp_path, 0))
    store.append(KEY, 7, 0, memoryview(b"abc"))
    part = tmp_path / KEY.job / "2" / "7.part"
    assert part.read_bytes() == b"abc" and part.stat().st_mode & 0o777 == 0o600
    await store.finish(KEY, 7)
    assert not part.exists() and part.with_suffix("").read_bytes() == b"abc"


def test_what_a_failed_write_has_left_is_written_over(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path, Reserve(tmp_path, 0))
    store.append(KEY, 1, 0, memoryview(b"abcdef"))
    store.append(KEY, 1, 3, memoryview(b"XYZ!"))
    assert (tmp_path / KEY.job / "2" / "1.part").read_bytes() == b"abcXYZ!"


def test_below_the_reserve_nothing_is_taken(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, 1000, measure=lambda: Disk(100_000, 1))
    store = LocalArtifacts(tmp_path, reserve)
    with pytest.raises(ArtifactUnavailable, match="below its reserve"):
        store.append(KEY, 1, 0, memoryview(b"x"))


async def test_a_broken_disk_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / KEY.job).write_text("in the way")
    store = LocalArtifacts(tmp_path, Reserve(tmp_path, 0))
    with pytest.raises(ArtifactUnavailable, match="cannot be written or read"):
        store.append(KEY, 1, 0, memoryview(b"x"))
    with pytest.raises(ArtifactUnavailable):
        await store.read(KEY, 1, 0, 1)
