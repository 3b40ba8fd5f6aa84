"""Gaps in logs: what follows them keeps its offset, and viewers see what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_protocol import cri
from remote_server.logs.gap import fill_gap
from tests.support.fake_agent import cri as lines


@pytest.mark.parametrize("size", [1, 2, 40, 110, 10_000, 3_000_000])
@pytest.mark.parametrize("cut", [0, 7, 35])
def test_what_is_whole_can_be_read_around_a_gap(tmp_path: Path, size: int, cut: int) -> None:
    before, after = lines(b"one\ntwo"), lines(b"three\nfour")
    before = before[: len(before) - cut]
    path = tmp_path / "1.log"
    path.write_bytes(before)
    descriptor = os.open(path, os.O_RDWR)
    try:
        fill_gap(descriptor, len(before), len(before) + size, now=1.0)
    finally:
        os.close(descriptor)
    with path.open("ab") as file:
        file.write(after)
    data = path.read_bytes()
    assert data[: len(before)] == before
    assert data[len(before) + size :] == after
    shown = cri.decode(data)
    assert shown.startswith(b"one\n")
    assert shown.endswith(b"three\nfour\n")
    note = f"remote-server: {size} bytes of this log were lost\n".encode()
    assert (note in shown) == (size > 100)
    assert b"\0" not in shown


def test_a_large_gap_takes_no_room(tmp_path: Path) -> None:
    path = tmp_path / "1.log"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fill_gap(descriptor, 0, 1 << 34, now=1.0)
        assert os.fstat(descriptor).st_blocks * 512 < 1 << 20
    finally:
        os.close(descriptor)
