"""Reading a spool while it grows, is rotated and trimmed under the reader."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_agent.spool import CHECKSUMS, LIVE, SpoolError, SpoolReader, closed_name, closed_start


def read(reader: SpoolReader, offset: int, size: int = 1 << 16) -> bytes:
    """Everything from `offset` on."""
    view, parts = memoryview(bytearray(size)), []
    while count := reader.read_into(view, offset):
        parts.append(bytes(view[:count]))
        offset += count
    return b"".join(parts)


class Writer:
    """A spool as the shim writes it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.start = self.size = self.checksum = 0

    def write(self, data: bytes) -> None:
        with (self.directory / LIVE).open("ab") as live:
            live.write(data)
        self.size += len(data)
        self.checksum = crc32(data, self.checksum)

    def rotate(self) -> None:
        with (self.directory / CHECKSUMS).open("a") as sums:
            sums.write(f"{self.size} {self.checksum}\n")
        (self.directory / LIVE).rename(self.directory / closed_name(self.start))
        self.start = self.size


@given(st.integers(0, 10**20 - 1))
def test_names_of_closed_segments(start: int) -> None:
    name = closed_name(start)
    assert closed_start(name) == start
    for other in (LIVE, CHECKSUMS, name + ".gz", name[:-4], "output.1.log", "x" + name):
        assert closed_start(other) is None


def test_an_empty_spool(tmp_path: Path) -> None:
    reader = SpoolReader(tmp_path)
    assert (reader.size(), reader.checksum(), reader.segments()) == (0, 0, [])
    assert reader.read_into(memoryview(bytearray(9)), 0) == 0
    assert SpoolReader(tmp_path / "absent").size() == 0


def test_it_reads_across_segments_and_back(tmp_path: Path) -> None:
    writer, reader = Writer(tmp_path), SpoolReader(tmp_path)
    whole = b""
    for number in range(5):
        data = bytes([number]) * (100 + number)
        writer.write(data)
        whole += data
        assert read(reader, len(whole) - 50) == whole[-50:]
        if number != 4:
            writer.rotate()
    assert reader.size() == len(whole)
    for offset in (0, 1, 99, 100, 101, 300, len(whole) - 1, len(whole), 0):
        assert read(reader, offset, 7) == whole[offset:]
    assert reader.checksum() == crc32(whole)
    assert reader.disk_usage() == len(whole)
    reader.close()


def test_it_follows_a_segment_that_grows_and_is_closed_under_it(tmp_path: Path) -> None:
    writer, reader, view = Writer(tmp_path), SpoolReader(tmp_path), memoryview(bytearray(100))
    writer.write(b"abc")
    assert reader.read_into(view, 0) == 3 and reader.read_into(view, 3) == 0
    writer.write(b"def")
    writer.rotate()
    assert reader.read_into(view, 3) == 3 and bytes(view[:3]) == b"def"
    assert reader.read_into(view, 6) == 0
    writer.write(b"ghi")
    assert reader.read_into(view, 6) == 3 and bytes(view[:3]) == b"ghi"
    reader.close()


def test_dropping_keeps_what_is_not_acknowledged_and_the_newest(tmp_path: Path) -> None:
    writer, reader = Writer(tmp_path), SpoolReader(tmp_path)
    for _ in range(5):
        writer.write(b"x" * 100)
        writer.rotate()
    writer.write(b"tail")
    assert reader.drop_acked(99, 0) == 0
    assert reader.drop_acked(504, 3) == 200
    assert [segment.start for segment in reader.segments()] == [200, 300, 400]
    assert reader.drop_acked(350, 1) == 100
    assert reader.drop_acked(504, 0) == 100
    assert [segment.start for segment in reader.segments()] == [400]
    assert reader.size() == writer.size and reader.checksum() == writer.checksum
    assert read(reader, 450) == b"x" * 50 + b"tail"
    with pytest.raises(SpoolError, match="from 10 to 400 were dropped"):
        reader.read_into(memoryview(bytearray(1)), 10)
    sums = tmp_path / CHECKSUMS
    sums.write_text(sums.read_text().replace(f"400 {crc32(b'x' * 400)}\n", "400 12"))
    with pytest.raises(SpoolError, match="before 400 is not known"):
        reader.checksum()
    reader.close()


def test_a_dropped_segment_that_was_open_is_left(tmp_path: Path) -> None:
    writer, reader, view = Writer(tmp_path), SpoolReader(tmp_path), memoryview(bytearray(10))
    writer.write(b"x" * 10)
    assert reader.read_into(view, 0) == 10
    writer.rotate()
    writer.write(b"y" * 10)
    writer.rotate()
    os.unlink(tmp_path / closed_name(0))
    assert reader.read_into(view, 10) == 10 and bytes(view) == b"y" * 10
    reader.close()


def test_a_missing_segment_in_the_middle_is_named(tmp_path: Path) -> None:
    writer, reader = Writer(tmp_path), SpoolReader(tmp_path)
    for _ in range(3):
        writer.write(b"x" * 10)
        writer.rotate()
    os.unlink(tmp_path / closed_name(10))
    with pytest.raises(SpoolError, match="byte 12 is missing"):
        reader.read_into(memoryview(bytearray(1)), 12)


# In Wine a look at a file takes a hundred times as long.
PIECES = 3000 if sys.platform != "win32" else 500


def test_a_reader_beside_a_writer_loses_nothing(tmp_path: Path) -> None:
    writer, reader = Writer(tmp_path), SpoolReader(tmp_path)
    dice, parts, total = random.Random(7), [], 0
    pieces = [dice.randbytes(dice.randrange(1, 400)) for _ in range(PIECES)]

    def write() -> None:
        written = 0
        for number, piece in enumerate(pieces):
            writer.write(piece)
            written += len(piece)
            if number % 5 == 0:
                writer.rotate()
            # Few segments at a time, as in a spool whose reader keeps up: each look lists them all.
            while written - total > 5_000:
                time.sleep(0.001)

    thread = threading.Thread(target=write)
    thread.start()
    view = memoryview(bytearray(1000))
    while True:
        done = not thread.is_alive()
        count = reader.read_into(view, total)
        parts.append(bytes(view[:count]))
        total += count
        assert total <= reader.size()
        if count:
            reader.drop_acked(total, 3)
        elif done:
            break
    thread.join()
    reader.close()
    assert b"".join(parts) == b"".join(pieces)
    assert reader.checksum() == writer.checksum
    reader.close()
