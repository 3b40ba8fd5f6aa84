"""Receives contents: part by part at its offset, compared with their digest, then kept.

Who has sent all of a content may name it in jobs: whoever knows no more than its digest cannot, and
learns nothing of whether it is here. May touch the store and the contents' files.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Final, NamedTuple

from remote_protocol.errors import ErrorCode
from remote_protocol.stream import Gap, place
from remote_protocol.units import format_size
from remote_server.contents.ports import ContentStore, ContentUnavailable, PartKey, Rows
from remote_server.domain.contents import ContentLimits
from remote_server.domain.model import Principal
from remote_server.errors import Conflict, ServerError

FRESH: Final = 3600.0
"""Seconds for which a content is kept in any case: the job that names it is still to come."""
MOST_OPEN: Final = 1_000
"""Contents that one sender may be sending at a time."""
_AT_ONCE: Final = 100
"""Contents that are looked up at a time to be deleted: to find them means to look at all."""


class ContentGap(Conflict):
    """Bytes before the part are missing: go on at the size that the text names."""

    code = ErrorCode.CONTENT_GAP


class ContentTooLarge(ServerError):
    """The content is larger than what the server takes."""

    code = ErrorCode.BODY_TOO_LARGE


class WrongDigest(ServerError):
    """What was sent has another digest."""

    code = ErrorCode.VALIDATION


class Received(NamedTuple):
    """How far a content has come."""

    size: int
    complete: bool = False


class _Upload:
    __slots__ = ("lock", "size")

    def __init__(self, size: int, lock: asyncio.Lock | None = None) -> None:
        self.lock = lock or asyncio.Lock()
        """Held while its part is written or compared. One that begins again with another size has
        the lock of the former: nobody exchanges what is being compared."""
        self.size = size
        """What it will have; of one that was begun before the start, what it has."""


class ContentUploads:
    """All contents that are being received. `wall` is Unix time."""

    def __init__(
        self,
        contents: ContentStore,
        rows: Rows,
        limits: ContentLimits,
        wall: Callable[[], float],
    ) -> None:
        self.contents = contents
        self.rows = rows
        self.limits = limits
        self._wall = wall
        self._open: dict[PartKey, _Upload] = {}
        self._beginning = asyncio.Lock()
        """Held while an upload is allowed: no two are promised the same room."""
        self.changing = asyncio.Lock()
        """Held while whole contents are added or deleted: a row always has its bytes."""

    def scan(self) -> None:
        """Find what an earlier process has left."""
        for part in self.contents.parts():
            self._open[part.key] = _Upload(part.size)

    async def look(self, digest: str, by: Principal) -> Received:
        """How far a content has come that this sender sends."""
        known = await self.rows.content_sent(digest, by)
        if known is not None and await self.contents.size(digest) == known:
            return Received(known, complete=True)
        return Received(self.contents.length(PartKey(digest, by.id)))

    async def receive(
        self, digest: str, size: int, offset: int, part: bytes, by: Principal
    ) -> Received:
        """Put what is new of `part` at the end of a content of `size` bytes; with the last one it
        is compared and kept. Sent again, it changes nothing.

        ContentGap, ContentTooLarge, WrongDigest, Conflict; ContentUnavailable: nothing was taken.
        """
        key = PartKey(digest, by.id)
        upload = self._open.get(key)
        if upload is None or upload.size != size:
            async with self._beginning:
                upload = await self._begin(key, size, by)
            if upload is None:
                return Received(size, complete=True)
        async with upload.lock:
            if self._open.get(key) is not upload:
                # Somebody else has sent its last part, or it was given up.
                return await self.look(digest, by)
            try:
                length = self._append(key, size, offset, part)
                if length < size:
                    return Received(length)
                await self._complete(key, size, by)
            finally:
                self._drop_empty(key, upload)
            return Received(size, complete=True)

    def _drop_empty(self, key: PartKey, upload: _Upload) -> None:
        """Nothing lies on the disk that would be given up with time: so no room is kept either."""
        if self._open.get(key) is upload and not self.contents.length(key):
            del self._open[key]

    def forget(self, key: PartKey) -> None:
        """Give up one that is being received, unless something of it is written now."""
        upload = self._open.get(key)
        if upload is None or not upload.lock.locked():
            self._open.pop(key, None)
            self.contents.discard(key)

    async def _begin(self, key: PartKey, size: int, by: Principal) -> _Upload | None:
        """Allow an upload, or refuse it; None: this sender has sent it all before."""
        limits = self.limits
        if (await self.look(key.digest, by)).complete:
            return None
        if why := limits.too_large(size):
            raise ContentTooLarge(why)
        usage = await self.rows.content_usage(by)
        open_each: dict[str, int] = defaultdict(int)
        own = 0
        for other, upload in self._open.items():
            if other != key:
                open_each[other.owner] += upload.size
                own += other.owner == by.id
        if own >= MOST_OPEN:
            raise Conflict(
                f"{own} contents of this token are on their way, and {MOST_OPEN} may be at a time; "
                "finish those first"
            )
        if why := limits.over_quota(usage.own + open_each[by.id], size):
            raise Conflict(why)
        await self._require_room(usage.total + sum(open_each.values()) + size - limits.total)
        # Another part of it may have come meanwhile.
        begun = self._open.get(key)
        if begun is None or begun.size != size:
            begun = self._open[key] = _Upload(size, None if begun is None else begun.lock)
        return begun

    async def _require_room(self, lacking: int) -> None:
        if lacking > 0 and await self.delete_unneeded(lacking, self._wall() - FRESH) < lacking:
            raise ContentUnavailable(
                f"the server keeps {format_size(self.limits.total)} of contents at the most "
                "([contents] max_total), and jobs that have not ended need what is there; try "
                "again when some have ended"
            )

    def _append(self, key: PartKey, size: int, offset: int, part: bytes) -> int:
        """Put what is new at the end; how many bytes are there then."""
        length = self.contents.length(key)
        if length > size:
            self.contents.discard(key)
            length = 0
        if offset + len(part) > size:
            raise Conflict(
                f"the part ends at byte {offset + len(part)} of a content of {size} bytes; say "
                "the whole size with each part"
            )
        where = place(length, offset, len(part))
        if isinstance(where, Gap):
            raise ContentGap(f"{length} bytes of the content are here; send it from there on")
        fresh = memoryview(part)[length - offset :]
        if fresh:
            self.contents.append(key, length, fresh)
        elif not size:
            self.contents.append(key, 0, fresh)
        return length + len(fresh)

    async def _complete(self, key: PartKey, size: int, by: Principal) -> None:
        found = await self.contents.checksum(key)
        if found != key.digest:
            self.contents.discard(key)
            self._open.pop(key, None)
            raise WrongDigest(
                f"the {size} bytes that came have another SHA-256, {found}: the file has changed "
                "while it was sent, or something on the way has changed it; send it again from the "
                "beginning"
            )
        async with self.changing:
            await self.contents.finish(key)
            await self.rows.keep_content(key.digest, size, self._wall(), by)
        self._open.pop(key, None)

    async def delete_unneeded(self, wanted: int, before: float) -> int:
        """Delete contents that no unfinished job names and that were needed last before `before`,
        the oldest first, until `wanted` bytes are free; how many are."""
        freed = 0
        while freed < wanted:
            found = await self.rows.unneeded_contents(_AT_ONCE)
            gone = 0
            for one in found:
                if one.since >= before or freed >= wanted:
                    return freed
                if await self._delete(one.digest):
                    gone += 1
                    freed += one.size
            if not gone:
                break
        return freed

    async def _delete(self, digest: str) -> bool:
        async with self.changing:
            if not await self.rows.forget_content(digest):
                return False
            await self.contents.delete(digest)
            return True
