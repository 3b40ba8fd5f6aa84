"""Gaps in logs: what follows them keeps its offset, and viewers see what is missing."""

from __future__ import annotations

import pytest

from remote_protocol import cri
from remote_server.logs.gap import ends_of_gap
from tests.support.fake_agent import cri as lines


@pytest.mark.parametrize("size", [1, 2, 40, 110, 10_000, 3_000_000])
@pytest.mark.parametrize("cut", [0, 7, 35])
def test_what_is_whole_can_be_read_around_a_gap(size: int, cut: int) -> None:
    before, after = lines(b"one\ntwo"), lines(b"three\nfour")
    before = before[: len(before) - cut]
    first, last = ends_of_gap(size, 1.0)
    gap = first + bytes(size - len(first) - len(last)) + last
    assert len(gap) == size
    shown = cri.decode(before + gap + after)
    assert shown.startswith(b"one\n")
    assert shown.endswith(b"three\nfour\n")
    note = f"remote-server: {size} bytes of this log were lost\n".encode()
    assert (note in shown) == (size > 100)
    assert b"\0" not in shown
