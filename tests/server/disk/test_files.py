"""`remote_server.disk.files` on real files."""

from __future__ import annotations

import gc
import os
import stat
from pathlib import Path
from zlib import crc32

import pytest

from remote_server.disk.files import checksum, keep_whole, make_folder, sync_folder, write_at


def test_every_new_folder_is_private(tmp_path: Path) -> None:
    old_umask = os.umask(0)
    try:
        make_folder(tmp_path / "a" / "b" / "c")
        make_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(old_umask)
    for name in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700


def test_checksum_of_a_beginning(tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    (tmp_path / "file").write_bytes(data)
    assert checksum(tmp_path / "file", len(data)) == crc32(data)
    assert checksum(tmp_path / "file", 1_500_000) == crc32(data[:1_500_000])
    assert checksum(tmp_path / "file", 0) == 0


def test_sync_reports_what_is_missing(tmp_path: Path) -> None:
    gc.collect()  # what earlier tests have left open
    before = set(os.listdir("/proc/self/fd"))
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")
    assert set(os.listdir("/proc/self/fd")) <= before


def test_what_is_received_is_written_at_its_offset(tmp_path: Path) -> None:
    part = tmp_path / "new" / "parts" / "one"
    write_at(part, 0, memoryview(b"abcdef"))
    write_at(part, 2, memoryview(b"XY"))
    assert part.read_bytes() == b"abXYef"
    assert stat.S_IMODE(part.stat().st_mode) == 0o600
    assert stat.S_IMODE(part.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_whole_gets_its_name(
    durable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    part, whole = tmp_path / "part", tmp_path / "whole"
    part.write_bytes(b"x")
    keep_whole(part, whole, (tmp_path,) if durable else ())
    assert whole.read_bytes() == b"x" and not part.exists()
    assert len(synced) == (2 if durable else 0), "the file, and its folder"
