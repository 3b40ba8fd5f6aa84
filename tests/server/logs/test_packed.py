"""`remote_server.logs.packed`: what every gzip reader reads, with an index that tells of damage."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import tracemalloc
from itertools import pairwise
from pathlib import Path
from zlib import MAX_WBITS, compressobj, crc32

import pytest

from remote_server.logs import packed as module
from remote_server.logs.packed import (
    BLOCK,
    END_SIZE,
    Damaged,
    End,
    pack,
    read_end,
    read_index,
    read_member,
)
from remote_server.logs.ports import LogUnavailable


def unpacked(raw: bytes) -> bytes:
    """The log in a packed one, by its index."""
    end = read_end(raw[-END_SIZE:], len(raw))
    places = read_index(raw[end.index_at : len(raw) - END_SIZE], end)
    data = b"".join(read_member(raw[start:stop]) for start, stop in pairwise(places))
    assert len(data) == end.length
    return data


@pytest.mark.parametrize(
    "size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 17], ids=str
)
@pytest.mark.parametrize("piece", [1000, BLOCK, 10 * BLOCK])
def test_every_gzip_reader_reads_it(tmp_path: Path, size: int, piece: int) -> None:
    data = (os.urandom(1000) * (size // 1000 + 1))[:size]
    pieces = [data[start : start + piece] for start in range(0, size, piece)]
    raw = b"".join(pack(pieces))
    assert gzip.decompress(raw) == data
    assert unpacked(raw) == data
    (tmp_path / "log.gz").write_bytes(raw)
    said = subprocess.run(["zcat", tmp_path / "log.gz"], capture_output=True, check=True)
    assert said.stdout == data


def test_a_long_index_has_several_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LENGTHS", 2)
    data = os.urandom(5 * BLOCK)
    raw = b"".join(pack([data]))
    assert gzip.decompress(raw) == unpacked(raw) == data


@pytest.mark.parametrize("cut", [1, 2, 33, END_SIZE, END_SIZE + 1, 5000])
def test_an_object_that_was_cut_is_noticed(cut: int) -> None:
    raw = b"".join(pack([os.urandom(2 * BLOCK)]))[:-cut]
    with pytest.raises(Damaged, match="damaged"):
        unpacked(raw)


def test_any_flipped_byte_is_noticed_or_without_effect() -> None:
    data = b"".join(b"%d," % number for number in range(80_000))
    raw = b"".join(pack([data]))
    end = read_end(raw[-END_SIZE:], len(raw))
    places = {*range(0, len(raw), 997), *range(40), *range(end.index_at - 20, len(raw))}
    for place in sorted(places):
        for flip in (1, 0x80):
            damaged = bytearray(raw)
            damaged[place] ^= flip
            try:
                assert unpacked(bytes(damaged)) == data, place
            except Damaged:
                continue


def made_member(data: bytes, level: int = 9) -> bytes:
    """A member with any number of bytes, sound for every gzip reader."""
    press = compressobj(level, wbits=-MAX_WBITS)
    body = press.compress(data) + press.flush()
    head = module._head(module._PIECE, b"")
    return head + body + struct.pack("<2I", crc32(data), len(data))


def made_end(length: int, index_at: int, index: bytes) -> bytes:
    """An end whose checksum is right, whatever it says."""
    crc = module._crc(length, index_at, index)
    return module._empty(module._END, struct.pack("<2QI", length, index_at, crc))


def test_a_block_becomes_no_more_than_a_block() -> None:
    bomb = made_member(bytes(64 * 1024 * 1024))
    assert len(bomb) < BLOCK and len(gzip.decompress(bomb)) == 256 * BLOCK
    tracemalloc.start()
    try:
        with pytest.raises(Damaged):
            read_member(bomb)
        assert tracemalloc.get_traced_memory()[1] < 8 * BLOCK
    finally:
        tracemalloc.stop()
    with pytest.raises(Damaged):
        read_member(made_member(bytes(BLOCK + 1)))
    assert read_member(made_member(bytes(BLOCK))) == bytes(BLOCK)


@pytest.mark.parametrize(
    ("length", "index_at"),
    [(BLOCK, 0), (1, 1 << 39), (1, (1 << 64) - 1), (1 << 62, 0), ((1 << 64) - 1, 0)],
)
def test_an_end_that_names_another_index_is_refused_before_that_is_read(
    length: int, index_at: int
) -> None:
    with pytest.raises(Damaged, match="its end"):
        read_end(made_end(length, index_at, b""), 1 << 40)


def test_an_index_that_cannot_be_held_is_refused_though_it_fits() -> None:
    count = module.MOST_BLOCKS + 1
    members = -(-count // module._MOST_LENGTHS)
    index_size = 4 * count + members * len(module._empty(module._INDEX, b""))
    with pytest.raises(Damaged, match="its end"):
        read_end(made_end(count * BLOCK, 0, b""), index_size + END_SIZE)


def test_a_log_with_more_blocks_than_can_be_read_is_not_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_BLOCKS", 2)
    assert unpacked(b"".join(pack([bytes(2 * BLOCK)]))) == bytes(2 * BLOCK)
    with pytest.raises(LogUnavailable, match="too long"):
        list(pack([bytes(2 * BLOCK + 1)]))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (b"RI", b"12345"),
        (b"RI", struct.pack("<I", 1 << 30)),
        (b"RA", struct.pack("<I", 10)),
    ],
    ids=["no whole number", "a huge block", "another member"],
)
def test_an_index_that_is_none_is_refused(kind: bytes, fields: bytes) -> None:
    raw = module._empty(kind, fields)
    index_at = struct.unpack("<I", fields[:4])[0]
    end = End(1, index_at, len(raw), module._crc(1, index_at, raw))
    with pytest.raises(Damaged, match="index"):
        read_index(raw, end)
