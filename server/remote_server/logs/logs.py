"""All logs of attempts: appended to and followed while they grow, packed into an archive later.

Whether a log is in the store or in the archive is known here only. Where both have one, that of the
store counts: a crash came between its packing and its removal, or it was begun anew. Touches the
two ports.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid
from remote_server.logs.archived import ArchivedLogs
from remote_server.logs.gap import ends_of_gap
from remote_server.logs.ports import Archive, ArchiveUnavailable, LogStore, LogUnavailable

_MOST_FINISHED: Final = 100_000
_MOST_FETCHING: Final = 16
_LOOK: Final = 5.0
"""Seconds in which the archive must say whether it has a log that an agent's hello waits for."""


class Logs:
    """Every log. Calls that are not awaited block for one access to a local disk at the most.

    `received` counts the bytes appended since the start, `torn` the logs that will never be
    complete. `finished` holds, oldest first, logs that ended and are worth packing, of at least
    `worth_packing` bytes; the packer takes them. `now`: Unix seconds.
    """

    def __init__(
        self,
        store: LogStore,
        archive: Archive,
        worth_packing: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.archived = ArchivedLogs(archive)
        self.worth_packing = max(1, worth_packing)
        self.received = 0
        self.torn = 0
        self.packed = 0
        """Logs that were moved to the archive since the start."""
        self.pack_failures = 0
        self.archive_fault = ""
        """Why logs cannot be moved to the archive now, in words; empty: nothing is known of it."""
        self.copied = 0
        """Jobs whose logs were copied elsewhere since the start; what follows is as above."""
        self.copy_failures = 0
        self.copy_fault = ""
        self.backlog = 0
        """Logs that wait for the packer, as it said last."""
        self.finished: deque[AttemptId] = deque(maxlen=_MOST_FINISHED)
        self.fetching = asyncio.Semaphore(_MOST_FETCHING)
        """Held by who reads from the archive, as long as the piece is in memory."""
        self._followers: dict[AttemptId, set[asyncio.Event]] = {}
        self._packing: set[AttemptId] = set()
        self._pack_turn = asyncio.Lock()
        """Held while a log is packed: the later of two for one log would find the first one's work,
        take it for that of a log that is gone, and delete it."""
        self._oldest_new = make_ulid(int(now() * 1000), bytes(10))
        """Jobs from here on are of this process: nothing of them was ever packed before."""
        self._log = structlog.get_logger("remote_server.logs")

    # While a log grows -------------------------------------------------------------------------

    def length(self, key: AttemptId) -> int:
        """Bytes of an unpacked log that have arrived. LogUnavailable."""
        return self.store.length(key) or 0

    def begin(self, key: AttemptId) -> None:
        """Nothing of this log has come yet: what lies under its name is not its own. It is that of
        an attempt which the database lost in a power cut. LogUnavailable."""
        self._changed(key)
        self.store.delete(key)
        if key.job < self._oldest_new:
            # There may be a packed one, too: now this one counts. The archive need not answer.
            self.store.truncate(key, 0)

    def append(self, key: AttemptId, payload: memoryview | bytes) -> int:
        """Put bytes at the end; gives the new length. LogUnavailable: nothing was appended."""
        length = self.store.append(key, payload)
        self.received += len(payload)
        self._changed(key)
        self._tell(key)
        return length

    def truncate(self, key: AttemptId, length: int = 0) -> None:
        """Cut a log to its first `length` bytes; a shorter one stays as it is. LogUnavailable."""
        self._changed(key)
        self.store.truncate(key, length)

    def fill(self, key: AttemptId, length: int, now: float) -> None:
        """Make a log that is shorter `length` bytes long, with a note of what will never come.

        LogUnavailable.
        """
        self._changed(key)
        missing = length - self.length(key)
        if missing > 0:
            self.store.extend(key, length, *ends_of_gap(missing, now))
            self._tell(key)

    def known_checksum(self, key: AttemptId, size: int) -> int | None:
        """CRC-32 of the first `size` bytes if that is known without reading them."""
        return self.store.known_checksum(key, size) if size else 0

    async def checksum(self, key: AttemptId, size: int, owner: str = "") -> int | None:
        """CRC-32 of the first `size` bytes of an unpacked log; None when there are fewer. Long ones
        take their time, those of each `owner` in turns. LogUnavailable."""
        known = self.known_checksum(key, size)
        return await self.store.checksum(key, size, owner) if known is None else known

    async def sync(self, key: AttemptId) -> None:
        """Have a log survive a power cut. LogUnavailable."""
        await self.store.sync(key)

    def probe(self) -> None:
        """LogUnavailable when logs cannot be written now."""
        self.store.probe()

    def finish(self, key: AttemptId) -> None:
        """Nothing will be appended any more: let go what is open, tell followers."""
        if (self.store.length(key) or -1) >= self.worth_packing:
            self.finished.append(key)
        self.store.release(key)
        self._tell(key)

    @contextmanager
    def follow(self, key: AttemptId, changed: asyncio.Event) -> Iterator[None]:
        """Inside the block, `changed` is set whenever the log grows or is finished.

        Clear it before looking at the log, so that nothing between the two is missed.
        """
        followers = self._followers.setdefault(key, set())
        followers.add(changed)
        try:
            yield
        finally:
            followers.discard(changed)
            if not followers and self._followers.get(key) is followers:
                del self._followers[key]

    # Wherever it is ----------------------------------------------------------------------------

    def at_hand(self, key: AttemptId) -> bool:
        """Whether reading needs no archive. LogUnavailable."""
        return self.store.length(key) is not None

    async def size(self, key: AttemptId) -> int:
        """Bytes of a log, packed or not; 0 when there is none. LogUnavailable."""
        length = self.store.length(key)
        return (await self.archived.length(key) or 0) if length is None else length

    async def read(self, key: AttemptId, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on; empty at the end. Of an unpacked log, at once.
        LogUnavailable."""
        data = self.store.read(key, offset, size)
        if data is None:
            data = await self.archived.read(key, offset, size)
        return data or b""

    async def delete(self, key: AttemptId) -> None:
        """Remove the log of an attempt; a missing one is no error. Followers see it end.
        LogUnavailable: perhaps a part of it, or its packed form, is still there."""
        self._changed(key)
        self.store.delete(key)
        self._tell(key)
        await self.archived.delete(key)

    def close(self) -> None:
        """Keep nothing open."""
        self.store.close()
        self.archived.close()

    # Into the archive and out of it ------------------------------------------------------------

    async def pack(self, key: AttemptId) -> float:
        """Move a log that has ended to the archive, if it is here; seconds of a processor.

        One at a time; whoever reads it meanwhile notices nothing. LogUnavailable: it stays as it
        was.
        """
        async with self._pack_turn:
            return 0.0 if self.store.length(key) is None else await self._pack(key)

    async def _pack(self, key: AttemptId) -> float:
        self._packing.add(key)
        try:
            seconds = await self.archived.put(key, self.store.content(key))
            if key in self._packing:
                # Nothing else happens between that look and this: the archive has all of it.
                self.store.delete(key)
                self.packed += 1
            else:
                # Deleted meanwhile, or begun anew: what was packed is of the past.
                await self.archived.delete(key)
        except LogUnavailable:
            self.pack_failures += 1
            raise
        finally:
            self._packing.discard(key)
        return seconds

    def unpacked(self) -> Iterator[AttemptId]:
        """Logs that are not packed and worth it, oldest first. For a thread. LogUnavailable."""
        return (key for key, length in self.store.listing() if length >= self.worth_packing)

    def perhaps_packed(self, keys: Iterable[AttemptId]) -> list[AttemptId]:
        """Those of some logs that are not here, and whose jobs are older than this process.
        LogUnavailable."""
        return [key for key in keys if key.job < self._oldest_new and not self.at_hand(key)]

    async def reopen(self, keys: Iterable[AttemptId]) -> None:
        """Unpack those of some logs that are packed: their attempts have not ended after all. Only
        beside a restored, older database are there any.

        Where the archive does not answer it goes on without, and without those that follow: then
        the agent sends all of it again.
        """
        for key in keys:
            try:
                async with asyncio.timeout(_LOOK):
                    length = await self.archived.length(key)
                if length is not None:
                    blocks = await self.archived.blocks(key)
                    await asyncio.to_thread(self.store.restore, key, blocks)
            except (LogUnavailable, TimeoutError) as error:
                cause = str(error) or f"the archive did not answer within {_LOOK:g} seconds"
                self._log.warning("a packed log cannot be unpacked", cause=cause)
                if isinstance(error, ArchiveUnavailable | TimeoutError):
                    return

    def _changed(self, key: AttemptId) -> None:
        """It is no longer what is being packed."""
        if self._packing:
            self._packing.discard(key)

    def _tell(self, key: AttemptId) -> None:
        for event in self._followers.get(key, ()):
            event.set()
