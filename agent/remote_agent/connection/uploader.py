"""One loop: the output of all attempts, from the spools to the link.

May read spools and delete their acknowledged segments. What to send next is the session's
choice (round robin, bounded window for each attempt); here only bytes move: one buffer, read
into behind the packed header, handed to the link as a view.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Final, Protocol

import structlog

from remote_agent.processes import UnexpectedEntry
from remote_agent.session.events import ChunkSent, Event, SpoolMissing
from remote_agent.spool import SpoolError
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import HEADER_SIZE, pack_header
from remote_protocol.limits import MAX_PAYLOAD

log = structlog.get_logger("uploader")

MOST_OPEN: Final = 512
RETRY: Final = 0.5
"""Seconds after a spool could not be read, before anything is tried again."""


class Source(Protocol):
    """Who says what may be sent now (the session)."""

    def next_chunk(self) -> tuple[AttemptId, int, int] | None:
        """Attempt, offset and length of the next chunk; None when nothing may be sent."""


class Sink(Protocol):
    """Where frames go (the link)."""

    def write(self, frame: memoryview) -> bool:
        """Write a frame now; False without a link."""

    async def drain(self) -> None:
        """Wait until there is room again."""


class Readable(Protocol):
    """A spool, as far as the uploader needs it."""

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset`; how many bytes there were."""

    def drop_acked(self, acked: int, keep: int) -> int:
        """Delete closed segments before `acked` while there are more than `keep`."""

    def close(self) -> None:
        """Let go of its files."""


class Uploader:
    """Moves log bytes while there are any. `wake` it when there may be more."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        open_spool: Callable[[AttemptId], Readable],
        report: Callable[[Event], None],
        keep: int,
        segment_size: int,
    ) -> None:
        self._source = source
        self._sink = sink
        self._open_spool = open_spool
        self._report = report
        self._keep = keep
        self._segment_size = segment_size
        self._awake = asyncio.Event()
        self._spools: dict[AttemptId, Readable] = {}
        self._ill: dict[AttemptId, float] = {}
        self._trimmed: dict[AttemptId, int] = {}
        self._buffer = bytearray(HEADER_SIZE + MAX_PAYLOAD)
        self.most_open = MOST_OPEN
        """Spools whose files stay open between two reads."""
        self.sent = 0
        """Log bytes handed to the link since the start."""

    def wake(self) -> None:
        """There may be something to send."""
        self._awake.set()

    def forget(self, key: AttemptId) -> None:
        """Nothing of this attempt is sent any more: its files are let go."""
        spool = self._spools.pop(key, None)
        if spool is not None:
            spool.close()
        self._ill.pop(key, None)
        self._trimmed.pop(key, None)

    def acknowledged(self, key: AttemptId, offset: int) -> None:
        """The server has all before `offset`: closed segments beyond those to keep may go.

        The job's output waits while too many lie there, so this must not depend on there being
        more to send.
        """
        # Half a segment: segments end a little late, and the last one must be found acknowledged.
        if offset - self._trimmed.get(key, 0) >= self._segment_size // 2:
            self._trimmed[key] = offset
            try:
                self._spool(key).drop_acked(offset, self._keep)
            except OSError as error:
                self._complain(key, str(error))

    async def run(self) -> None:
        """The loop; ends by cancellation."""
        view = memoryview(self._buffer)
        skipped = 0
        while True:
            self._awake.clear()
            piece = self._source.next_chunk()
            if piece is None:
                await self._awake.wait()
                continue
            key, offset, length = piece
            read = self._read(key, view[HEADER_SIZE : HEADER_SIZE + length], offset)
            if isinstance(read, SpoolMissing) or read == 0:
                self._report(ChunkSent(key, 0))
                if isinstance(read, SpoolMissing):
                    # The session goes on behind the gap, if it may.
                    self._report(read)
                skipped += 1
                if skipped > len(self._ill):
                    # A whole round of nothing but spools that cannot be read.
                    skipped = 0
                    await self._nap()
                continue
            skipped = 0
            pack_header(self._buffer, key, offset)
            if not self._sink.write(view[: HEADER_SIZE + read]):
                # The session learns of a lost link in this very tick, and has nothing to send.
                await self._awake.wait()
                continue
            # Before anything is awaited: a rewind that arrives meanwhile must find the cursor
            # where this chunk put it.
            self.sent += read
            self._report(ChunkSent(key, read))
            await self._sink.drain()
            # A chunk that fits the socket's buffer awaits nothing: messages get their turn here.
            await asyncio.sleep(0)

    async def _nap(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY):
                await self._awake.wait()

    def _spool(self, key: AttemptId) -> Readable:
        spool = self._spools.pop(key, None)
        if spool is None:
            spool = self._open_spool(key)
        # In the order of their use: the one that was read last comes last.
        self._spools[key] = spool
        if len(self._spools) > self.most_open:
            idle = next(islice(self._spools, len(self._spools) - self.most_open - 1, None))
            self._spools[idle].close()
        return spool

    def _read(self, key: AttemptId, room: memoryview, offset: int) -> int | SpoolMissing:
        """How many bytes were read; 0 when the spool cannot be read now."""
        if self._ill and self._ill.get(key, 0.0) > time.monotonic():
            return 0
        try:
            read = self._spool(key).read_into(room, offset)
        except SpoolError as error:
            self._complain(key, str(error))
            return SpoolMissing(key, offset, error.until)
        except UnexpectedEntry as error:
            # Somebody has put it where the log was: what came before it is gone.
            self._complain(key, f"{error.filename}: {error.strerror}")
            return SpoolMissing(key, offset, None)
        except OSError as error:
            self._complain(key, str(error))
            return 0
        if read == 0:
            self._complain(key, f"it ends before byte {offset}")
            return SpoolMissing(key, offset, None)
        elif self._ill.pop(key, None) is not None:
            log.info("a spool can be read again", attempt=str(key))
        return read

    def _complain(self, key: AttemptId, why: str) -> None:
        if key not in self._ill:
            log.error("a spool cannot be read; trying again", attempt=str(key), reason=why)
        # Only this attempt waits: the others go on.
        self._ill[key] = time.monotonic() + RETRY
