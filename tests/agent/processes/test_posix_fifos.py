"""FIFOs: nobody else's, never waited for, nothing else in their place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from remote_agent.processes import HAS_FIFOS, UnexpectedEntry, make_fifo, open_fifo


def test_one_is_its_owners_only_whatever_the_umask(tmp_path: Path) -> None:
    assert HAS_FIFOS
    before = os.umask(0)
    try:
        make_fifo(str(tmp_path / "fifo"))
    finally:
        os.umask(before)
    mode = (tmp_path / "fifo").stat().st_mode
    assert stat.S_ISFIFO(mode) and stat.S_IMODE(mode) == 0o600


def test_what_is_written_is_read_and_nobody_waits(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    make_fifo(str(path))
    descriptor = open_fifo(str(path))
    try:
        with pytest.raises(BlockingIOError):
            os.read(descriptor, 1)
        path.write_bytes(b"one")
        path.write_bytes(b"two")
        assert os.read(descriptor, 100) == b"onetwo"
        with pytest.raises(BlockingIOError):
            os.read(descriptor, 1)
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)
    assert path.stat().st_size == 0, "nothing of it is on the disk"


def test_nothing_else_is_opened_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    make_fifo(str(path))
    plain, link = tmp_path / "plain", tmp_path / "link"
    plain.touch()
    link.symlink_to(path)
    with pytest.raises(UnexpectedEntry, match="it is no FIFO"):
        open_fifo(str(plain))
    for odd in (link, tmp_path, tmp_path / "none"):
        with pytest.raises(OSError):
            open_fifo(str(odd))
