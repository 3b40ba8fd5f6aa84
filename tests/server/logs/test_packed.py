"""`remote_server.logs.packed`: any log comes back from any position; damage is noticed."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remote_server.logs.packed import BLOCK, Damaged, PackedLog, pack, packed_length, unpack


def packed(tmp_path: Path, data: bytes) -> Path:
    """A packed log of these bytes."""
    source, target = tmp_path / "1.log", tmp_path / "1.log.gz"
    source.write_bytes(data)
    pack(source, target)
    return target


@pytest.mark.parametrize(
    "size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 17], ids=str
)
def test_every_gzip_reader_reads_it(tmp_path: Path, size: int) -> None:
    data = (os.urandom(1000) * (size // 1000 + 1))[:size]
    path = packed(tmp_path, data)
    assert gzip.decompress(path.read_bytes()) == data
    assert packed_length(path) == size
    log = PackedLog(path)
    assert log.read(0, size + 1) == data
    log.close()
    (tmp_path / "1.log").unlink()
    unpack(path, tmp_path / "1.log")
    assert (tmp_path / "1.log").read_bytes() == data
    assert not (tmp_path / "1.part").exists()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 3 * BLOCK), st.integers(0, 2 * BLOCK)), max_size=8))
def test_reads_from_any_position(tmp_path: Path, reads: list[tuple[int, int]]) -> None:
    data = b"".join(number.to_bytes(4, "big") for number in range(BLOCK * 5 // 8))
    log = PackedLog(packed(tmp_path, data))
    try:
        for offset, size in reads:
            assert log.read(offset, size) == data[offset : offset + size]
    finally:
        log.close()


def test_times_and_rights_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "1.log"
    source.write_bytes(b"x" * 1000)
    os.utime(source, (1_000_000, 2_000_000))
    pack(source, tmp_path / "1.log.gz")
    status = (tmp_path / "1.log.gz").stat()
    assert status.st_mtime == 2_000_000
    assert status.st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [0, 1, 33, 34, 35, 5000])
def test_a_file_that_was_cut_is_noticed(tmp_path: Path, cut: int) -> None:
    path = packed(tmp_path, os.urandom(2 * BLOCK))
    path.write_bytes(path.read_bytes()[: -cut - 1])
    with pytest.raises(Damaged, match="damaged"):
        packed_length(path)
    with pytest.raises(Damaged):
        PackedLog(path)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_flipped_byte_never_shows_wrong_bytes(tmp_path: Path, data: st.DataObject) -> None:
    plain = b"".join(b"%d," % number for number in range(80_000))
    path = packed(tmp_path, plain)
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        log = PackedLog(path)
    except Damaged:
        return
    try:
        found = log.read(0, len(plain) + 1)
    except Damaged:
        return
    finally:
        log.close()
    # A flipped length in the last member can only show less of it, or complain.
    assert plain.startswith(found)


def test_a_wrong_length_in_a_header_is_noticed(tmp_path: Path) -> None:
    path = packed(tmp_path, os.urandom(2 * BLOCK))
    raw = bytearray(path.read_bytes())
    # The high half of the first member's extra field: the length of its plain bytes.
    raw[20:24] = (100).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(Damaged):
        PackedLog(path).read(0, 300)


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pack(tmp_path / "1.log", tmp_path / "1.log.gz")
    assert list(tmp_path.iterdir()) == []
