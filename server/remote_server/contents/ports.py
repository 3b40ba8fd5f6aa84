"""What the server asks of whatever keeps contents, and of who knows whose they are. Pure types.

A content is named by its digest. While it is received it is a part, one for each sender and digest,
and grows by offset in a local place; from `finish` on it is one whole object that never changes,
and is only read, by ranges, or deleted: nothing that an object storage lacks.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from remote_protocol.errors import ErrorCode
from remote_server.domain.contents import Unneeded, Usage
from remote_server.domain.model import Principal
from remote_server.errors import ServerError


class ContentUnavailable(ServerError):
    """A content cannot be written or read now (disk full, no rights); trying again may help."""

    code = ErrorCode.STORE_UNAVAILABLE


class PartKey(NamedTuple):
    """Which content, and who sends it: two senders of the same know nothing of each other."""

    digest: str
    owner: str
    """The id of the sender's token."""


class FoundPart(NamedTuple):
    """A content that is being received."""

    key: PartKey
    size: int
    touched: float
    """Unix time at which something of it came last."""


class ContentStore(Protocol):
    """Where contents are. Every method raises ContentUnavailable."""

    def parts(self) -> list[FoundPart]:
        """All that are being received."""

    def length(self, key: PartKey) -> int:
        """Bytes that have come of one that is being received: the truth (I5). 0 for an unknown."""

    def append(self, key: PartKey, offset: int, data: memoryview) -> None:
        """Put bytes at the end, which is at `offset`."""

    def discard(self, key: PartKey) -> None:
        """Forget what has come of one that is being received."""

    async def checksum(self, key: PartKey) -> str:
        """SHA-256 of what has come."""

    async def finish(self, key: PartKey) -> None:
        """It is whole: durable from now on, under its digest; what was there already gives way."""

    async def kept(self) -> list[str]:
        """The digests of all whole ones."""

    async def size(self, digest: str) -> int | None:
        """Bytes of a whole one; None when it is not there."""

    async def read(self, digest: str, offset: int, size: int) -> bytes:
        """Bytes of a whole one; fewer only at its end."""

    async def delete(self, digest: str) -> None:
        """Forget a whole one; a missing one is no error."""


class Rows(Protocol):
    """Where it is noted which contents there are, and whose (the store). StoreUnavailable."""

    async def content_sent(self, digest: str, by: Principal) -> int | None:
        """The size of a content that this sender has sent; None for all others."""

    async def keep_content(self, digest: str, size: int, now: float, by: Principal) -> None:
        """It is whole, and this sender has sent all of it."""

    async def content_usage(self, by: Principal) -> Usage:
        """What all contents take, and those of a sender."""

    async def unneeded_contents(self, limit: int) -> list[Unneeded]:
        """Those that no unfinished job names, the one that was needed longest ago first."""

    async def forget_content(self, digest: str) -> bool:
        """Delete what is known of one that no unfinished job names; whether it was."""

    async def known_contents(self) -> set[str]:
        """The digests of all."""

    async def clear_content_needs(self) -> bool:
        """Delete what is known of the needs of some jobs that are forgotten; whether there are
        more to look at."""
