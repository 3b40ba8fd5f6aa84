"""Checksums of long logs, computed in threads of their own, piece by piece, owners taking turns.

A log of gigabytes, or a thousand of them, keeps neither other threads' work nor the next owner's
checksum waiting for longer than some pieces take. Reads the files that it is given.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from zlib import crc32

PIECE: Final = 32 * 1024 * 1024
"""Bytes that are looked at in one turn."""
THREADS: Final = 2
_BLOCK: Final = 1024 * 1024


class Checksums:
    """Gives each owner its turn."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="checksum")
        self._free = THREADS
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def crc(self, owner: str, path: Path, size: int) -> int:
        """CRC-32 of the first `size` bytes of a file, or of all when it has fewer. OSError."""
        loop = asyncio.get_running_loop()
        crc = start = 0
        while start < size:
            end = min(size, start + PIECE)
            await self._turn(owner)
            try:
                crc, done = await loop.run_in_executor(self._pool, _piece, path, start, end, crc)
            finally:
                self._next()
            if done < end:
                break
            start = end
        return crc

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _turn(self, owner: str) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                # Its turn had come a moment before: somebody else's then.
                self._next()
            raise

    def _next(self) -> None:
        """A thread is free: it goes to the owner who has waited for longest."""
        while self._waiting:
            owner, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[owner] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _piece(path: Path, start: int, end: int, crc: int) -> tuple[int, int]:
    """The checksum continued to `end`, and where it came to."""
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while start < end and (block := file.read(min(end - start, _BLOCK))):
            crc = crc32(block, crc)
            start += len(block)
    return crc, start
