"""One loop: the output of all attempts, from the spools to the link.

May read spools and delete their acknowledged segments. What to send next is the session's
choice (round robin, bounded window for each attempt); here only bytes move: one buffer, read
into after the packed header, handed to the link as a view.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from itertools import islice
from typing import Final, Protocol

import structlog

from remote_agent.processes import UnexpectedEntry, keep_freed_memory
from remote_agent.session.events import ChunkSent, Event, SpoolMissing
from remote_agent.spool import SpoolError
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import HEADER_SIZE, pack_header

log = structlog.get_logger("uploader")

MOST_OPEN: Final = 512
RETRY: Final = 0.5
"""Seconds after a spool could not be read, before anything is tried again."""
_LARGE: Final = 1 << 16
"""Bytes of a piece that is one of many."""


class Source(Protocol):
    """Who decides what may be sent now, and hears what became of it (the session driver)."""

    def next_chunk(self) -> tuple[AttemptId, int, int] | None:
        """Attempt, offset and length of the next chunk; None when nothing may be sent."""

    def handle(self, event: Event) -> None:
        """What happened to the chunk."""


class Sink(Protocol):
    """Where frames go (the link)."""

    def write(self, frame: memoryview) -> bool:
        """Write a frame now; False without a link."""

    async def drain(self) -> None:
        """Wait until there is room again."""


class Afterwards(Protocol):
    """What is sent while no log byte may be (`artifact_sender.ArtifactSender`)."""

    def step(self) -> bool:
        """Send a chunk, if there is one; whether it was."""


class Readable(Protocol):
    """A spool, as far as the uploader needs it."""

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset`; how many bytes there were."""

    def drop_acked(self, acked: int, keep: int) -> int:
        """Delete closed segments before `acked` while there are more than `keep`."""

    def close(self) -> None:
        """Let go of its files."""


class Step(Enum):
    """What the uploader's next step has to wait for."""

    SENT = auto()
    """Room on the link."""
    SKIPPED = auto()
    """Nothing: a spool could not be read, the next one may."""
    RETRY = auto()
    """Some time: no spool that has something to send can be read."""
    IDLE = auto()
    """`wake`: there is nothing to send, or no link."""


class Uploader:
    """Moves log bytes while there are any. `wake` it when there may be more.

    Of each spool it keeps the newest `keep` segments of `segment_size` bytes when the server has
    them, and the files of up to `most_open` spools open between two reads.
    """

    def __init__(
        self,
        sink: Sink,
        open_spool: Callable[[AttemptId], Readable],
        keep: int,
        segment_size: int,
        most_open: int = MOST_OPEN,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._open_spool = open_spool
        self._keep = keep
        self._segment_size = segment_size
        self._most_open = most_open
        self._now = now
        self.afterwards: Afterwards | None = None
        self._awake = asyncio.Event()
        self._spools: dict[AttemptId, Readable] = {}
        self._unreadable: dict[AttemptId, float] = {}
        """Spools that could not be read, with the time from which they are tried again."""
        self._trimmed: dict[AttemptId, int] = {}
        self._large = False
        """Large pieces were sent."""
        self._buffer = bytearray(HEADER_SIZE)
        self._view = memoryview(self._buffer)
        """As large as the longest piece so far: most jobs say little, and many agents never get
        any."""
        self._skipped = 0

    def wake(self) -> None:
        """There may be something to send."""
        self._awake.set()

    def forget(self, key: AttemptId) -> None:
        """Nothing of this attempt is sent any more: its files are let go."""
        spool = self._spools.pop(key, None)
        if spool is not None:
            spool.close()
        self._unreadable.pop(key, None)
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
                self._cannot_read(key, str(error))

    async def run(self, source: Source) -> None:
        """The loop; ends by cancellation."""
        while True:
            self._awake.clear()
            match self.step(source):
                case Step.IDLE if self.afterwards is not None and self.afterwards.step():
                    await self._sink.drain()
                    await asyncio.sleep(0)
                case Step.IDLE:
                    await self._awake.wait()
                case Step.RETRY:
                    await self._pause()
                case Step.SENT:
                    await self._sink.drain()
                    # A chunk that fits the socket's buffer awaits nothing: messages get their
                    # turn here.
                    await asyncio.sleep(0)

    def step(self, source: Source) -> Step:
        """Send one chunk, if there is one. Nothing here waits: a rewind that arrives later finds
        the cursor where this chunk put it."""
        piece = source.next_chunk()
        if piece is None:
            return Step.IDLE
        key, offset, length = piece
        if len(self._buffer) < HEADER_SIZE + length:
            self._buffer = bytearray(HEADER_SIZE + length)
            self._view = memoryview(self._buffer)
        read = self._read(key, self._view[HEADER_SIZE : HEADER_SIZE + length], offset)
        if isinstance(read, SpoolMissing) or read == 0:
            source.handle(ChunkSent(key, 0))
            if isinstance(read, SpoolMissing):
                # The session goes on after the gap, if it may.
                source.handle(read)
            self._skipped += 1
            if self._skipped <= len(self._unreadable):
                return Step.SKIPPED
            # A whole round of nothing but spools that cannot be read.
            self._skipped = 0
            return Step.RETRY
        self._skipped = 0
        if read >= _LARGE and not self._large:
            # The WebSocket copies each frame twice: masked, and with its header. Not from the
            # start, for an idle agent would keep more, too.
            self._large = True
            keep_freed_memory()
        pack_header(self._buffer, key, offset)
        if not self._sink.write(self._view[: HEADER_SIZE + read]):
            # The session learns of a lost link in this very tick, and has nothing to send.
            return Step.IDLE
        source.handle(ChunkSent(key, read))
        return Step.SENT

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY):
                await self._awake.wait()

    def _spool(self, key: AttemptId) -> Readable:
        spool = self._spools.pop(key, None)
        if spool is None:
            spool = self._open_spool(key)
        # In the order of their use: the one that was read last comes last.
        self._spools[key] = spool
        if len(self._spools) > self._most_open:
            idle = next(islice(self._spools, len(self._spools) - self._most_open - 1, None))
            self._spools[idle].close()
        return spool

    def _read(self, key: AttemptId, room: memoryview, offset: int) -> int | SpoolMissing:
        """How many bytes were read; 0 when the spool cannot be read now."""
        if self._unreadable and self._unreadable.get(key, 0.0) > self._now():
            return 0
        try:
            read = self._spool(key).read_into(room, offset)
        except SpoolError as error:
            self._cannot_read(key, str(error))
            return SpoolMissing(key, offset, error.until)
        except UnexpectedEntry as error:
            # Somebody has put it where the log was: what came before it is gone.
            self._cannot_read(key, f"{error.filename}: {error.strerror}")
            return SpoolMissing(key, offset, None)
        except OSError as error:
            self._cannot_read(key, str(error))
            return 0
        if read == 0:
            self._cannot_read(key, f"it ends before byte {offset}")
            return SpoolMissing(key, offset, None)
        if self._unreadable.pop(key, None) is not None:
            log.info("the log of a job can be read again", attempt=str(key))
        return read

    def _cannot_read(self, key: AttemptId, why: str) -> None:
        if key not in self._unreadable:
            log.error(
                "the log of a job cannot be read from the disk; trying again",
                attempt=str(key),
                reason=why,
            )
        # Only this attempt waits: the others go on.
        self._unreadable[key] = self._now() + RETRY
