"""Packed logs in an archive: read from any position, put there, taken out. Names no place.

Each request to the archive has its time. Some logs are kept open: the index of each, and the block
that was read last.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, Final, TypeVar

from remote_protocol.attempt_id import AttemptId
from remote_server.logs.packed import (
    BLOCK,
    END_SIZE,
    TAIL,
    Damaged,
    pack,
    read_end,
    read_index,
    read_member,
)
from remote_server.logs.ports import Archive, ArchiveUnavailable

T = TypeVar("T")
MOST_OPEN: Final = 8
TIMEOUT: Final = 30.0
"""Seconds for one request to the archive, save for a put."""
STALLED: Final = 300.0
"""Seconds after which a put of which the archive takes nothing more is given up."""
AHEAD: Final = 1024 * 1024
"""Bytes of an object that are asked for at once by who reads one block after the other."""
_SHARD: Final = 6
_SUFFIX: Final = ".log.gz"
_ASIDE: Final = "orphaned/"


class _Packed:
    """One packed log that is open for reading."""

    __slots__ = ("ahead", "ahead_at", "block", "length", "number", "places")

    def __init__(self, length: int, places: array[int]) -> None:
        self.length = length
        self.places = places
        self.number = -1
        self.block = b""
        self.ahead = b""
        """Bytes of the object from `ahead_at` on, which were asked for together."""
        self.ahead_at = 0


class ArchivedLogs:
    """All packed logs of an archive."""

    def __init__(
        self, archive: Archive, timeout: float = TIMEOUT, stalled: float = STALLED
    ) -> None:
        self._archive = archive
        self._timeout = timeout
        self._stalled = stalled
        self._open: OrderedDict[AttemptId, _Packed] = OrderedDict()

    async def probe(self) -> None:
        """ArchiveUnavailable when the archive cannot be used now."""
        await self._in_time(self._archive.size("probe"))

    async def length(self, key: AttemptId) -> int | None:
        """Bytes of a log; None when it is not in the archive. ArchiveUnavailable, Damaged."""
        packed = await self._opened(key)
        return None if packed is None else packed.length

    async def read(self, key: AttemptId, offset: int, size: int) -> bytes | None:
        """At most `size` bytes from `offset` on, fewer only at the end; None when the log is not in
        the archive. ArchiveUnavailable, Damaged."""
        packed = await self._opened(key)
        if packed is None:
            return None
        parts = []
        while size > 0 and offset < packed.length:
            number, skip = divmod(offset, BLOCK)
            block = packed.block if number == packed.number else await self._load(key, number)
            if block is None:
                return None
            part = block[skip : skip + size]
            if not part:
                raise self._damaged(key, "is damaged: a block is too short")
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def content(self, key: AttemptId) -> AsyncIterator[bytes]:
        """The whole of a log, block by block. ArchiveUnavailable, Damaged."""
        offset = 0
        while data := await self.read(key, offset, BLOCK):
            yield data
            offset += len(data)

    async def put(self, key: AttemptId, content: Iterable[bytes]) -> float:
        """Pack a log, and see that it is there; seconds of a processor that took. `content` is read
        in a thread. LogUnavailable: perhaps there is something of that name now."""
        length, seconds = 0, 0.0

        def members() -> Iterator[bytes]:
            nonlocal length, seconds
            begun = time.thread_time()
            yield from pack(counted())
            seconds = time.thread_time() - begun

        def counted() -> Iterator[bytes]:
            nonlocal length
            for block in content:
                length += len(block)
                yield block

        self.forget(key)
        await self._put(name_of(key), members())
        self.forget(key)
        if await self.length(key) != length:
            raise ArchiveUnavailable(
                f"the archive took the log of {key}, but has something else now: {self.where(key)}"
            )
        return seconds

    async def delete(self, key: AttemptId) -> None:
        """Remove a log; a missing one is no error. ArchiveUnavailable."""
        self.forget(key)
        await self._in_time(self._archive.delete(name_of(key)))

    async def listing(self) -> AsyncIterator[AttemptId]:
        """Every log in the archive, oldest job first. ArchiveUnavailable."""
        after = ""
        while names := await self._in_time(self._archive.names(after)):
            for name in names:
                key = key_of(name)
                if key is not None:
                    yield key
            after = names[-1]

    async def is_empty(self) -> bool:
        """Whether there is no object at all, as in a directory that nothing is mounted on.
        ArchiveUnavailable."""
        return not await self._in_time(self._archive.names("", 1))

    @property
    def place(self) -> str:
        """Where the archive is, for people."""
        return self._archive.where("").rstrip("/")

    async def blocks(self, key: AttemptId) -> Iterator[bytes]:
        """The whole of a log, to be read in a thread while the loop runs; nothing when it is not in
        the archive. The thread gets ArchiveUnavailable, Damaged."""
        length = await self.length(key) or 0
        return _pulled(length, lambda offset: self.read(key, offset, BLOCK))

    async def set_aside(self, key: AttemptId) -> str:
        """Give an object a name that is no log's; its place, for people. LogUnavailable."""
        name = name_of(key)
        size = await self._in_time(self._archive.size(name)) or 0
        # As it is, also when it is damaged.
        raw = _pulled(size, lambda offset: self._part(name, offset, min(BLOCK, size - offset)))
        await self._put(_ASIDE + name, raw)
        await self.delete(key)
        return self._archive.where(_ASIDE + name)

    def where(self, key: AttemptId) -> str:
        """The place of a log, for people."""
        return self._archive.where(name_of(key))

    def forget(self, key: AttemptId) -> None:
        """Keep nothing of a log."""
        self._open.pop(key, None)

    def close(self) -> None:
        """Keep nothing, and begin nothing more."""
        self._open.clear()
        self._archive.close()

    async def _put(self, name: str, content: Iterable[bytes]) -> None:
        """Store an object, as long as the archive takes something of it from time to time."""
        taken, over = 0, False

        def blocks() -> Iterator[bytes]:
            nonlocal taken
            for block in content:
                if over:
                    raise ArchiveUnavailable("it was given up")
                yield block
                taken += 1

        put = asyncio.ensure_future(self._archive.put(name, blocks()))
        try:
            seen = -1
            while not put.done() and taken > seen:
                seen = taken
                await asyncio.wait({put}, timeout=self._stalled)
            if put.done():
                return put.result()
        finally:
            # A thread that hangs cannot be ended; it writes nothing more when it goes on.
            over = True
            put.cancel()
        raise ArchiveUnavailable(
            f"the archive of logs has taken nothing for {self._stalled:g} seconds"
        )

    async def _opened(self, key: AttemptId) -> _Packed | None:
        packed = self._open.get(key)
        if packed is not None:
            self._open.move_to_end(key)
            return packed
        name = name_of(key)
        size = await self._in_time(self._archive.size(name))
        if size is None:
            return None
        start = max(0, size - TAIL)
        tail = await self._part(name, start, size - start)
        if tail is None:
            return None
        try:
            end = read_end(tail, size)
            if end.index_at >= start:
                index: bytes | None = tail[end.index_at - start : len(tail) - END_SIZE]
            else:
                index = await self._part(name, end.index_at, end.index_size)
            packed = _Packed(end.length, read_index(index or b"", end))
        except Damaged as fault:
            raise self._damaged(key, str(fault)) from None
        self._open[key] = packed
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return packed

    async def _load(self, key: AttemptId, number: int) -> bytes | None:
        """A block of a log; None when the log has left the archive meanwhile."""
        packed = await self._opened(key)
        if packed is None or number + 1 >= len(packed.places):
            return None
        place, end = packed.places[number : number + 2]
        if place < packed.ahead_at or end > packed.ahead_at + len(packed.ahead):
            last = end
            if number == packed.number + 1:
                last = max(end, packed.places[bisect_right(packed.places, place + AHEAD) - 1])
            raw = await self._part(name_of(key), place, last - place)
            if raw is None:
                self.forget(key)
                return None
            packed.ahead, packed.ahead_at = raw, place
        start = place - packed.ahead_at
        try:
            block = read_member(packed.ahead[start : start + end - place])
        except Damaged as fault:
            raise self._damaged(key, str(fault)) from None
        packed.number, packed.block = number, block
        return block

    async def _part(self, name: str, offset: int, size: int) -> bytes | None:
        """A part of an object, whole."""
        parts: list[bytes] = []
        while size > 0:
            part = await self._in_time(self._archive.get(name, offset, size))
            if not part:
                return b"".join(parts) if parts else part
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    async def _in_time(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await answer
        except TimeoutError:
            raise ArchiveUnavailable(
                f"the archive of logs did not answer within {self._timeout:g} seconds"
            ) from None

    def _damaged(self, key: AttemptId, fault: str) -> Damaged:
        return Damaged(f"the packed log of {key} {fault} ({self.where(key)})")


def _pulled(size: int, read: Callable[[int], Coroutine[Any, Any, bytes | None]]) -> Iterator[bytes]:
    """`size` bytes that a coroutine reads from any offset on, block by block, for a thread."""
    loop = asyncio.get_running_loop()

    def pull() -> Iterator[bytes]:
        offset = 0
        while offset < size:
            block = asyncio.run_coroutine_threadsafe(read(offset), loop).result()
            if not block:
                raise ArchiveUnavailable("an object has left the archive while it was read")
            yield block
            offset += len(block)

    return pull()


def name_of(key: AttemptId) -> str:
    """The name of a packed log in the archive: in the order of the jobs."""
    return f"{key.job[:_SHARD]}/{key.job}/{key.number}{_SUFFIX}"


def key_of(name: str) -> AttemptId | None:
    """Whose packed log an object is; None when it is none: it may have any name."""
    _, _, rest = name.partition("/")
    try:
        key = AttemptId.parse(rest.removesuffix(_SUFFIX).replace("/", "."))
    except ValueError:
        return None
    return key if name_of(key) == name else None
