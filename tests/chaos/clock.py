"""The wall clock of one actor of a chaos run: how far it is off, in a file that `shifted` reads."""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

_OFFSET = struct.Struct("d")


class Clock:
    """A wall clock that jumps; it runs right until the first jump."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(_OFFSET.pack(0.0))
        with path.open("r+b") as file:
            self._file = mmap.mmap(file.fileno(), _OFFSET.size)
        self._jumps: list[tuple[float, float]] = [(float("-inf"), 0.0)]

    @property
    def offset(self) -> float:
        """Seconds by which it is ahead."""
        return self._jumps[-1][1]

    def jump(self, offset: float) -> None:
        """Be so far ahead from now on; negative: behind."""
        _OFFSET.pack_into(self._file, 0, offset)
        self._jumps.append((time.time(), offset))

    def real(self, stamp: float) -> float:
        """The true time at which this clock showed `stamp`; the last one when it did so twice."""
        until = time.time() + 1.0
        for since, offset in reversed(self._jumps):
            if since <= stamp - offset < until:
                return stamp - offset
            until = since
        # No moment of this clock: a time that was written before a jump and clamped after it.
        return stamp - self.offset
