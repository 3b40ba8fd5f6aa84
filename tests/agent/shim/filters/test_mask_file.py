"""The mask file: values come line by line, at once, and within bounds."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes import Poller
from remote_agent.shim.filters.mask_file import MOST_BYTES, MOST_VALUES, MaskFile, MaskFileFull


@pytest.fixture
def path(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "mask")
    return tmp_path / "mask"


@pytest.fixture
def file(path: Path) -> Iterator[MaskFile]:
    file = MaskFile(str(path))
    yield file
    file.close()


def test_lines_come_when_their_write_has_returned(file: MaskFile, path: Path) -> None:
    assert file.read() == []
    path.write_bytes(b"one\ntwo\r\n\n \nthree\n")
    assert file.read() == [b"one", b"two", b"three"]
    assert file.read() == []


def test_a_line_without_its_end_counts_and_again_when_it_is_longer(
    file: MaskFile, path: Path
) -> None:
    path.write_bytes(b"hunt")
    assert file.read() == [b"hunt"]
    path.write_bytes(b"er22\nnext\n")
    assert file.read() == [b"hunter22", b"next"]


def test_nul_bytes_and_bytes_that_are_no_text_are_values(file: MaskFile, path: Path) -> None:
    path.write_bytes(b"a\0b\xff\n")
    assert file.read() == [b"a\0b\xff"]


def test_whoever_writes_wakes_the_poller(file: MaskFile, path: Path) -> None:
    poller = Poller()
    poller.add(file.source)
    assert poller.wait(0) == []
    path.write_bytes(b"one\n")
    assert poller.wait(0) == [file.source]
    file.read()
    assert poller.wait(0) == []


def test_values_are_bounded_in_number(file: MaskFile, path: Path) -> None:
    path.write_bytes(b"value\n" * MOST_VALUES)
    assert len(file.read()) == MOST_VALUES
    path.write_bytes(b"one more\n")
    with pytest.raises(MaskFileFull, match="more than 1,000 values"):
        file.read()


def test_values_are_bounded_in_bytes(file: MaskFile, path: Path) -> None:
    def write() -> None:
        with path.open("wb", buffering=0) as end:
            for _ in range(MOST_BYTES // 1000 + 1):
                # Whole lines: of one that has no end each read would count for several values.
                end.write(b"x" * 999 + b"\n")

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(MaskFileFull, match="more than 256 KiB"):
        while True:
            file.read()
    writer.join(60)
    assert not writer.is_alive()


def test_a_line_that_never_ends_is_not_looked_at_for_ever(file: MaskFile, path: Path) -> None:
    path.write_bytes(b"x" * 60_000)
    with pytest.raises(MaskFileFull):
        for _ in range(MOST_VALUES // 4 + 1):
            assert file.read()
            path.write_bytes(b"x")


def test_only_a_fifo_will_do(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    link = tmp_path / "link"
    os.mkfifo(tmp_path / "fifo")
    link.symlink_to(tmp_path / "fifo")
    for path in (plain, link, tmp_path, tmp_path / "none"):
        with pytest.raises(OSError):
            MaskFile(str(path))
