"""Whether a complete log still holds what the job wrote, in the store or in the archive.

The checksum that was compared at the attempt's end is the measure; a packed log's blocks carry
checksums of their own besides.
"""

from __future__ import annotations

import asyncio
from zlib import crc32

from remote_protocol.attempt_id import AttemptId
from remote_server.logs.archived import ArchivedLogs
from remote_server.logs.packed import Damaged
from remote_server.logs.ports import LogStore, LogUnavailable


class _Measure:
    """Length of a log, and the checksum of its first `size` bytes, as far as it was fed."""

    def __init__(self, size: int) -> None:
        self.length = self.crc = 0
        self._size = size

    def feed(self, block: bytes) -> None:
        # Also what lies after `size` is read: a damaged block is a fault wherever it is.
        self.crc = crc32(block[: max(0, self._size - self.length)], self.crc)
        self.length += len(block)

    def fault(self, crc: int | None) -> str:
        if self.length < self._size:
            return f"has {self.length} of {self._size} bytes"
        if crc is not None and self.crc != crc:
            return f"is damaged: its {self._size} bytes are not those that were written"
        return ""


async def damage_in_store(
    store: LogStore, key: AttemptId, size: int, crc: int | None
) -> str | None:
    """What is wrong with an unpacked log, in words; empty: nothing; None: it is missing.

    Its first `size` bytes are compared with `crc`, CRC-32; None: only their number.
    """

    def measured() -> str:
        measure = _Measure(size)
        for block in store.content(key):
            measure.feed(block)
        return measure.fault(crc)

    try:
        return await asyncio.to_thread(measured) if store.length(key) is not None else None
    except LogUnavailable as error:
        return f"cannot be read: {error}"


async def damage_in_archive(
    archived: ArchivedLogs, key: AttemptId, size: int, crc: int | None
) -> str | None:
    """The same for a packed log. ArchiveUnavailable: nothing can be said of it."""
    measure = _Measure(size)
    # What is there now, not what was read before.
    archived.forget(key)
    try:
        if await archived.length(key) is None:
            return None
        async for block in archived.content(key):
            measure.feed(block)
    except Damaged as error:
        return f"cannot be read: {error}"
    return measure.fault(crc)
