"""Head and tail of a capped log."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from remote_agent.shim.cap import Cap
from remote_protocol import cri

STAMP = b"2026-01-01T00:00:00.000000000Z"
NOTE = re.compile(rb"\n?remote-agent: [^\n]*\n")


def feed(limit: int, parts: list[bytes]) -> tuple[bytes, bytes]:
    """What is written at once, and what at the end."""
    cap = Cap(limit)
    now = b"".join(b"".join(cap.admit(part, STAMP, cri.STDOUT)) for part in parts)
    return cri.decode(now), cri.decode(b"".join(cap.end(STAMP)))


@given(st.lists(st.binary(min_size=1, max_size=700), max_size=60), st.integers(4096, 9000))
def test_within_the_limit_nothing_changes(parts: list[bytes], limit: int) -> None:
    whole = b"".join(parts)
    now, end = feed(limit, parts)
    if len(whole) <= limit:
        assert now + end == whole
        return
    head, tail = limit - limit // 4, limit // 4
    omitted = int(re.search(rb"(\d+) bytes omitted here", end)[1])  # type: ignore[index]
    assert NOTE.sub(b"", now).startswith(whole[:head])
    kept = end[re.search(rb"omitted here[^\n]*\n", end).end() :]  # type: ignore[union-attr]
    assert len(kept) == tail and whole.endswith(kept)
    assert omitted == len(whole) - limit
    assert b"the job continues" in now


def test_notes_stand_on_lines_of_their_own() -> None:
    now, end = feed(4096, [b"a" * 5000, b"\n" + b"b" * 3000])
    assert b"a\nremote-agent: log limit 4 KiB reached" in now
    assert end.startswith(b"remote-agent: 3905 bytes omitted here (limit 4 KiB)\n")


def test_many_small_pieces_take_little() -> None:
    cap = Cap(1 << 20)
    cap.admit(b"x" * (1 << 20), STAMP, cri.STDOUT)
    for number in range(100_000):
        cap.admit(b"ab", STAMP, (cri.STDOUT, cri.STDERR)[number // 2 % 2])
    assert len(cap._tail) <= 2048 and cap._tail_size == sum(len(t[0]) for t in cap._tail)
    end = cri.decode(b"".join(cap.end(STAMP)))
    kept = len(end) - end.index(b"\n") - 1
    produced = (1 << 20) + 200_000
    assert int(re.search(rb"(\d+) bytes omitted", end)[1]) == produced - kept - 786_432  # type: ignore[index]
