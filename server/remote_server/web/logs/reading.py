"""Reads one log, wherever it is, in pieces of whole records; others run in between. Reads logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_server.web.logs.start import BLOCK, LARGEST_RECORD
from remote_server.web.logs.tail import Source

LARGE: Final = 2 * BLOCK
"""Bytes that are only counted without letting others run."""


class LogReader:
    """One log. `turn`: held while a piece is worked on; `packed`: whether it may be in the archive,
    which is asked for no other."""

    def __init__(
        self,
        logs: Source,
        key: AttemptId,
        turn: AbstractAsyncContextManager[None],
        packed: Callable[[], Awaitable[bool]],
    ) -> None:
        self.key = key
        self._logs = logs
        self._turn = turn
        self._packed = packed

    async def go_through(
        self, offset: int, end: int, take: Callable[[bytes], bool], block: int = BLOCK
    ) -> None:
        """Hand the whole records from `offset` to `end` to `take`, piece by piece, while it says
        that it wants more. A record that is cut by `end` is left. LogUnavailable."""
        piece = block
        while offset < end:
            at_hand = self._logs.at_hand(self.key)
            if not at_hand and not await self._packed():
                return
            async with self._turn if at_hand else self._logs.fetching:
                data = await self._logs.read(self.key, offset, min(piece, end - offset))
                whole = cri.complete(data)
                if not whole and piece >= LARGEST_RECORD:
                    # Damage: no record is so long.
                    whole = len(data)
                if whole:
                    more = take(data if whole == len(data) else data[:whole])
                    offset += whole
                elif len(data) < piece:
                    return
                else:
                    more = True
                piece = block if whole else piece * 2
                del data
                # A turn is over when the loop has turned: others get theirs.
                await asyncio.sleep(0)
            if not more:
                return

    async def last(self, size: int, most: int = BLOCK) -> bytes:
        """The last whole records of a log of `size` bytes, `most` bytes of them at the most."""
        found = bytearray()
        offset = max(0, size - most)

        def take(data: bytes) -> bool:
            found.extend(data)
            return True

        await self.go_through(offset, size, take, most)
        # The first one may be cut.
        return bytes(found[found.find(b"\n") + 1 :] if offset else found)
