"""A position in a stored log that moves on as pieces are shown. Reads logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_server.web.logs.forms import Form
from remote_server.web.logs.start import LARGEST_RECORD, Readable, Starts

_STREAM: Final = slice(cri.STAMP_LENGTH + 1, cri.STAMP_LENGTH + 7)


class Source(Readable, Protocol):
    """What is needed of the logs."""

    fetching: asyncio.Semaphore
    """Held by who reads from the archive, as long as the piece is in memory."""

    def at_hand(self, key: AttemptId) -> bool:
        """Whether reading needs no archive."""


class Sink(Protocol):
    """Where pieces go."""

    async def write(self, data: bytes) -> None:
        """Take a piece; waits while it cannot."""


class Collected:
    """Counts what would be sent, and keeps it while it is small."""

    def __init__(self, most: int) -> None:
        self.size = 0
        self.parts: list[bytes] = []
        self._most = most

    @property
    def whole(self) -> bytes | None:
        """All of it; None when it is too much to keep."""
        return b"".join(self.parts) if self.size <= self._most else None

    async def write(self, data: bytes) -> None:
        """Count a piece."""
        self.size += len(data)
        if self.size <= self._most:
            self.parts.append(data)
        else:
            self.parts.clear()


class Tail:
    """A position in the log of an attempt. `packed`: whether it may be in the archive, which is
    asked for no other. `starts`: records before them are left out."""

    def __init__(
        self,
        logs: Source,
        key: AttemptId,
        turn: AbstractAsyncContextManager[None],
        packed: Callable[[], Awaitable[bool]],
        offset: int = 0,
        starts: Starts | None = None,
    ) -> None:
        self._logs = logs
        self._key = key
        self._turn = turn
        self._starts = starts or {}
        # Starts are at records; any other position may be inside one.
        self.offset = min(self._starts.values(), default=offset)
        self._from = max(self._starts.values(), default=0)
        self._aligned = bool(starts) or offset == 0
        self._packed = packed

    async def drain(self, form: Form, sink: Sink, size: int | None = None) -> None:
        """Show everything that has arrived, up to the position `size`; others run between the
        pieces."""
        piece = form.piece
        while True:
            # Whoever waits for the archive takes no turn away from others.
            at_hand = self._logs.at_hand(self._key)
            if not at_hand and not await self._packed():
                return
            async with self._turn if at_hand else self._logs.fetching:
                # A turn is over when the loop has turned: others get theirs.
                data = await self._piece(form, piece, size)
                if not data:
                    return
                shown, piece = self._show(form, data, piece)
                # Whoever waits for a slow reader holds what is sent, not what it was made of.
                del data
                await asyncio.sleep(0)
            if shown is None:
                return
            if shown:
                await sink.write(shown)
            # Whoever waits for a turn holds nothing.
            del shown

    def _show(self, form: Form, data: bytes, piece: int) -> tuple[bytes | None, int]:
        """What a piece of the log looks like, None when it has no whole record yet; and how much
        to read next."""
        if not form.cut or self.offset < self._from:
            whole = cri.complete(data)
            if not whole and len(data) < piece:
                return None, piece
            if not whole and piece < LARGEST_RECORD:
                return b"", piece * 2
            data = data[: whole or len(data)]
        offset, self.offset = self.offset, self.offset + len(data)
        if offset < self._from:
            return self._selected(form, data, offset), form.piece
        return form.feed(data, offset), form.piece

    def _selected(self, form: Form, data: bytes, offset: int) -> bytes:
        """The records that do not lie before the start of their stream."""
        shown = []
        for line in data.split(b"\n")[:-1]:
            stream = line[_STREAM].decode("ascii", "replace")
            if offset >= self._starts.get(stream, self._from):
                shown.append(form.feed(line + b"\n", offset))
            offset += len(line) + 1
        return b"".join(shown)

    async def _piece(self, form: Form, piece: int, size: int | None) -> bytes:
        while not (self._aligned or form.cut):
            # Perhaps inside a record: its rest is not shown.
            before = await self._logs.read(self._key, self.offset - 1, piece)
            end = before.find(b"\n")
            if end < 0 and len(before) < piece:
                return b""
            self._aligned = end >= 0
            self.offset += end if self._aligned else len(before)
        if size is not None:
            piece = min(piece, size - self.offset)
            if piece <= 0:
                return b""
        return await self._logs.read(self._key, self.offset, piece)
