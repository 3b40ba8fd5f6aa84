"""Where to start in a log that is not wanted whole: its last lines, or what came since a moment.

Reads logs in blocks, and lets others run between them. A position is one for each stream: the
last lines of both may begin in the middle of a line of the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, Protocol

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId

BLOCK: Final = 64 * 1024
"""Bytes that are looked through without letting others run."""
LARGEST_RECORD: Final = 8 * 1024 * 1024
"""A longer line without an end is damage."""
STREAMS: Final = ("stdout", "stderr")
_STREAM: Final = slice(cri.STAMP_LENGTH + 1, cri.STAMP_LENGTH + 7)
_TAG: Final = slice(cri.CONTENT - 2, cri.CONTENT - 1)
Starts = dict[str, int]
"""For each stream the position of its first record that is wanted."""


class Readable(Protocol):
    """What is needed of the log store."""

    async def read(self, key: AttemptId, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on; empty at the end."""


def stamp(seconds: float) -> bytes:
    """The time of a record as the log has it."""
    found = datetime.fromtimestamp(min(max(seconds, 0.0), 253402300799.0), UTC)
    return f"{found:%Y-%m-%dT%H:%M:%S}.{found.microsecond:06}000Z".encode()


async def since(logs: Readable, key: AttemptId, size: int, seconds: float) -> int:
    """The position of the first record of that time or later; `size` when all are older."""
    wanted, offset, piece = stamp(seconds), 0, BLOCK
    while offset < size:
        data = await logs.read(key, offset, min(piece, size - offset))
        whole = cri.complete(data)
        if not whole:
            if len(data) < piece or piece >= LARGEST_RECORD:
                return offset
            piece *= 2
            continue
        piece = BLOCK
        last = data.rfind(b"\n", 0, whole - 1) + 1
        if data[last : last + cri.STAMP_LENGTH] >= wanted:
            for line in data[:whole].splitlines(keepends=True):
                if line[: cri.STAMP_LENGTH] >= wanted:
                    return offset
                offset += len(line)
            continue
        offset += whole
        await asyncio.sleep(0)
    return size


async def last_lines(
    logs: Readable, key: AttemptId, size: int, count: int, only: str | None
) -> Starts:
    """Where the last `count` lines of both streams, or of one, begin.

    A line is what one stream wrote up to its newline, however many records that took; what has no
    newline yet is a line, too. The lines are in the order in which they ended.
    """
    look = _Look(size, count, only)
    end, rest = size, b""
    while end > 0 and not look.found:
        begin = max(0, end - BLOCK)
        data = await logs.read(key, begin, end - begin) + rest
        end = begin
        first = 0 if begin == 0 else data.find(b"\n") + 1
        if begin and not first and len(data) < LARGEST_RECORD:
            rest = data
            continue
        rest = data[:first]
        if only is None or only.encode() in data:
            for offset, line in _backwards(data, first, begin):
                if look.record(offset, line):
                    break
        await asyncio.sleep(0)
    return look.starts


def _backwards(data: bytes, first: int, begin: int) -> Iterator[tuple[int, bytes]]:
    """The whole records after `first`, the last one first, with their positions."""
    end = cri.complete(data)
    while end > first:
        start = data.rfind(b"\n", first, end - 1) + 1 or first
        yield begin + start, data[start : end - 1]
        end = start


class _Look:
    """Goes back through a log, record by record."""

    def __init__(self, size: int, count: int, only: str | None) -> None:
        self.starts: Starts = dict.fromkeys(STREAMS, size)
        self.found = count == 0
        self._left = count
        self._wanted = STREAMS if only is None else (only,)
        self._seen: set[str] = set()
        self._open: set[str] = set()
        """Streams inside a line that is wanted, and whose beginning is still looked for."""

    def record(self, offset: int, line: bytes) -> bool:
        """One record, as it lies before those seen so far; whether all is found."""
        stream = line[_STREAM].decode("ascii", "replace")
        if stream not in self._wanted:
            return False
        if line[_TAG] == b"F" or stream not in self._seen:
            # Another line of this stream ends here: the one after it is whole.
            self._seen.add(stream)
            self._open.discard(stream)
            if self._left:
                self._left -= 1
                self._open.add(stream)
        if stream in self._open:
            self.starts[stream] = offset
        self.found = not self._left and not self._open
        return self.found
