"""`remote_server.logs.packed`: what every gzip reader reads, with an index that tells of damage."""

from __future__ import annotations

import gzip
import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from remote_server.logs import packed as module
from remote_server.logs.packed import (
    BLOCK,
    END_SIZE,
    Damaged,
    pack,
    read_end,
    read_index,
    read_member,
)


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
