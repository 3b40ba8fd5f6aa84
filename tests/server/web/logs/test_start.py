"""Where the last lines of a log begin, and what came since a moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_server.web.logs import start
from remote_server.web.logs.start import STREAMS, last_lines, since, stamp

KEY = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1)
READS = st.lists(
    st.tuples(st.sampled_from(STREAMS), st.sampled_from([b"a", b"b\n", b"\n", b"c\nd", b"e\nf\n"])),
    max_size=12,
)


class Bytes:
    """A log in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def read(self, key: AttemptId, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]


def stored(reads: list[tuple[str, bytes]]) -> bytes:
    return b"".join(
        b"".join(cri.encode(data, stamp(number), stream.encode()))
        for number, (stream, data) in enumerate(reads)
    )


def wanted(data: bytes, count: int, only: str | None) -> dict[str, int]:
    """The same, forwards and with all of it in memory."""
    lines: list[tuple[int, str, int]] = []
    begins: dict[str, int] = {}
    offset = 0
    for line in data.splitlines(keepends=True):
        stream = line[31:37].decode()
        begins.setdefault(stream, offset)
        offset += len(line)
        if line[38:39] == b"F":
            lines.append((offset, stream, begins.pop(stream)))
    ends = dict.fromkeys(begins, 0)
    offset = 0
    for line in data.splitlines(keepends=True):
        offset += len(line)
        ends[line[31:37].decode()] = offset
    lines += [(ends[stream], stream, begin) for stream, begin in begins.items()]
    chosen = sorted(line for line in lines if only in (None, line[1]))[::-1][:count]
    starts = dict.fromkeys(STREAMS, len(data))
    for _, stream, begin in chosen:
        starts[stream] = min(starts[stream], begin)
    return starts


@given(READS, st.integers(0, 8), st.sampled_from([None, *STREAMS]), st.sampled_from([50, 90, 4096]))
async def test_last_lines(reads, count, only, block) -> None:
    data = stored(reads)
    before, start.BLOCK = start.BLOCK, block  # type: ignore[misc]
    try:
        found = await last_lines(Bytes(data), KEY, len(data), count, only)
    finally:
        start.BLOCK = before  # type: ignore[misc]
    assert found == wanted(data, count, only)


@pytest.mark.parametrize("block", [50, 200, 65536])
async def test_since(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(start, "BLOCK", block)
    data = stored([("stdout", b"line\n" * 3), ("stderr", b"x" * 500), ("stdout", b"end\n")])
    logs, size = Bytes(data), len(data)
    assert await since(logs, KEY, size, 0.0) == 0
    first = data.index(stamp(1.0))
    assert await since(logs, KEY, size, 0.5) == first
    assert await since(logs, KEY, size, 1.0) == first
    assert await since(logs, KEY, size, 2.0) == data.index(stamp(2.0))
    assert await since(logs, KEY, size, 3.0) == size
    assert await since(logs, KEY, 0, 3.0) == 0


def test_stamps_are_those_of_the_log() -> None:
    assert stamp(0.0) == b"1970-01-01T00:00:00.000000000Z"
    assert len(stamp(1e11)) == len(stamp(-5.0)) == cri.STAMP_LENGTH
