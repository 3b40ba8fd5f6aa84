"""The writing side of the spool: the filter, CRI records, the cap, segments, a full disk.

Writes in an attempt's directory. What was read from the job is not dropped: while the disk is
full, or while more closed segments lie here than allowed, `ready` says no and the job's pipes
fill up, so the job itself waits. Only the end of a cancelled job does not wait for a full disk.

Names are always made new: what a job that runs as the same user has put there is moved away.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final
from zlib import crc32

from remote_agent.processes import APPEND, GROW, Folder, UnexpectedEntry, sync_data, write_some
from remote_agent.shim.cap import Cap
from remote_agent.shim.filters import Filters
from remote_agent.shim.order import Order
from remote_agent.shim.stamp import Stamper
from remote_agent.spool import CHECKSUMS, LIVE, closed_name
from remote_protocol.cri import STDERR, STDOUT, encode

RETRY: Final = 0.2
"""Seconds between two looks whether a full disk or a full spool has room again."""
PIECE: Final = 96 << 10
"""Bytes of output that become records at a time. One-byte lines grow forty-fold: that bounds memory
(I9) without counting the lines, which cost more than making the records."""
_SPACE_STEP: Final = 1 << 20


class Output:
    """Spool of one attempt. `size` and `checksum` are of the whole log, `counts` of the job."""

    def __init__(self, directory: Folder, order: Order, filters: Filters | None = None) -> None:
        self._directory = directory
        self._filters = filters
        self._segment_size = order.segment_size
        self._segments = order.segments
        self._reserve = order.reserve
        self._max_log = order.max_log
        self._cap: Cap | None = None
        """Made with the first output: most jobs have none."""
        self._stamper = Stamper()
        self._descriptor = -1
        self._segment_start = 0
        self._closed: list[int] = []
        self._pending: list[memoryview] = []
        self._unchecked = 0
        self.size = 0
        self.checksum = 0
        self.counts = {STDOUT: 0, STDERR: 0}
        self.waiting = ""
        """Why the job's output waits; empty when it does not."""

    def take(self, data: bytes, stream: bytes) -> None:
        """Put what one read brought into the spool, under one time stamp."""
        self.counts[stream] += len(data)
        if self._filters is not None:
            data = self._filters.feed(data, stream)
        self._keep(data, stream)

    def _keep(self, data: bytes, stream: bytes) -> None:
        stamp = self._stamper.stamp(time.time_ns())
        # A filter may give more than was read.
        for start in range(0, len(data), PIECE):
            part = data[start : start + PIECE]
            if self._max_log is None:
                self._put(encode(part, stamp, stream))
            else:
                self._cap = self._cap or Cap(self._max_log)
                self._put(self._cap.admit(part, stamp, stream))

    def end(self) -> None:
        """The job's output is complete: put what filters and cap held back after the rest."""
        if self._filters is not None:
            for stream in self.counts:
                self._keep(self._filters.flush(stream), stream)
        if self._cap is not None:
            self._put(self._cap.end(self._stamper.stamp(time.time_ns())))

    def _put(self, buffers: Sequence[bytes | memoryview]) -> None:
        if not buffers:
            return
        if not self._pending and self.size - self._segment_start >= self._segment_size:
            self._rotate()
        self._pending += map(memoryview, buffers)
        self.flush()

    def flush(self) -> bool:
        """Write what is pending; False when the disk does not take it now, nothing is lost."""
        try:
            while self._pending:
                if self._descriptor < 0:
                    self._descriptor = self._make_live()
                self._wrote(write_some(self._descriptor, self._pending[:64]))
        except OSError as error:
            # A full disk or quota; an I/O error may pass too, and giving up would lose output.
            self.waiting = f"the log cannot be written: {error.strerror}"
            return False
        return True

    def _make_live(self) -> int:
        try:
            return self._directory.open(LIVE, GROW)
        except FileExistsError:
            self._directory.clear(LIVE)
            return self._directory.open(LIVE, GROW)

    def _wrote(self, count: int) -> None:
        self.size += count
        self._unchecked += count
        done = 0
        while done < len(self._pending) and count >= len(self._pending[done]):
            self.checksum = crc32(self._pending[done], self.checksum)
            count -= len(self._pending[done])
            done += 1
        del self._pending[:done]
        if count:
            self.checksum = crc32(self._pending[0][:count], self.checksum)
            self._pending[0] = self._pending[0][count:]

    def give_up(self) -> int:
        """Drop what the disk does not take; how many bytes."""
        lost = sum(map(len, self._pending))
        self._pending.clear()
        return lost

    def _rotate(self) -> None:
        """Give the live segment its closed name. On failure it just grows on until the next one."""
        try:
            line = b"%d %d\n" % (self.size, self.checksum)
            sums = self._open_sums()
            try:
                os.write(sums, line)
            finally:
                os.close(sums)
            self._close_segment(closed_name(self._segment_start))
        except FileNotFoundError:
            # Somebody deleted it, or the whole directory: find out by making it again.
            self.close()
            return
        except OSError:
            return
        self.close()
        self._closed.append(self._segment_start)
        self._segment_start = self.size

    def _open_sums(self) -> int:
        try:
            return self._directory.open(CHECKSUMS, APPEND)
        except UnexpectedEntry:
            self._directory.clear(CHECKSUMS)
            return self._directory.open(CHECKSUMS, APPEND)

    def _close_segment(self, name: str) -> None:
        try:
            self._directory.rename(LIVE, name)
        except IsADirectoryError:
            self._directory.clear(name)
            self._directory.rename(LIVE, name)

    def ready(self) -> bool:
        """Whether more output may be read from the job now; `waiting` says why not."""
        if self._pending and not self.flush():
            return False
        if len(self._closed) >= self._segments and not self._dropped():
            self.waiting = f"{len(self._closed)} segments of the log wait for the server"
            return False
        if self._reserve and (self.waiting or self._unchecked >= _SPACE_STEP):
            self._unchecked = 0
            if self._directory.free() < self._reserve:
                self.waiting = "the disk is filled down to its reserve"
                return False
        self.waiting = ""
        return True

    def _dropped(self) -> bool:
        """Whether the agent has deleted closed segments, so that there is room again."""
        names = set(self._directory.names())
        self._closed = [start for start in self._closed if closed_name(start) in names]
        return len(self._closed) < self._segments

    def sync(self) -> None:
        """Force the live segment to the disk. OSError when that fails."""
        if self._descriptor >= 0:
            sync_data(self._descriptor)

    def close(self) -> None:
        """Close the live segment."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
