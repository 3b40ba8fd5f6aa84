"""The cap of a job's log: its head and its tail are kept, what lies between is counted. Pure.

The job never notices. Until something has to be dropped for good, nothing is: output that ends
within the cap is kept whole.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from remote_protocol.cri import STDERR, encode
from remote_protocol.units import plain_size

_LARGEST_TAIL: Final = 256 * 1024
_MOST_PIECES: Final = 2048
_SMALL_PIECE: Final = 4096


class Cap:
    """Splits output into what is written now and a tail that waits for the end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tail_limit = min(_LARGEST_TAIL, limit // 4)
        self._room = limit - self._tail_limit
        self._tail: deque[tuple[bytes, bytes, bytes]] = deque()
        self._tail_size = 0
        self._omitted = 0
        self._open_line = False

    def admit(self, data: bytes, stamp: bytes, stream: bytes) -> list[bytes | memoryview]:
        """Buffers of the part of `data` that belongs to the head, in CRI format."""
        head = data[: self._room]
        self._room -= len(head)
        rest = data[len(head) :]
        buffers: list[bytes | memoryview] = []
        if head:
            buffers = encode(head, stamp, stream)
            self._open_line = not head.endswith(b"\n")
        if rest:
            before = self._omitted
            self._keep(rest, stamp, stream)
            if self._omitted and not before:
                buffers += self._note(
                    f"log limit {plain_size(self._limit)} reached; the job continues, "
                    "the end of its output will follow when it ends",
                    stamp,
                )
        return buffers

    def _keep(self, data: bytes, stamp: bytes, stream: bytes) -> None:
        self._tail_size += len(data)
        # Small pieces share the stamp of the first one: a piece costs far more than its bytes.
        if self._tail and self._tail[-1][2] == stream and len(self._tail[-1][0]) < _SMALL_PIECE:
            data, stamp = self._tail[-1][0] + data, self._tail.pop()[1]
        self._tail.append((data, stamp, stream))
        while self._tail_size > self._tail_limit or len(self._tail) > _MOST_PIECES:
            data, stamp, stream = self._tail.popleft()
            excess = max(self._tail_size - self._tail_limit, 0) or len(data)
            if len(data) > excess:
                self._tail.appendleft((data[excess:], stamp, stream))
            dropped = min(excess, len(data))
            self._omitted += dropped
            self._tail_size -= dropped

    def _note(self, text: str, stamp: bytes) -> list[bytes | memoryview]:
        line = f"remote-agent: {text}\n".encode()
        buffers = encode(b"\n" + line if self._open_line else line, stamp, STDERR)
        self._open_line = False
        return buffers

    def end(self, stamp: bytes) -> list[bytes | memoryview]:
        """Buffers of the note on what was omitted, and of the tail."""
        buffers: list[bytes | memoryview] = []
        if self._omitted:
            buffers = self._note(
                f"{self._omitted} bytes omitted here (limit {plain_size(self._limit)})", stamp
            )
        for data, at, stream in self._tail:
            buffers += encode(data, at, stream)
        self._tail.clear()
        self._tail_size = 0
        return buffers
