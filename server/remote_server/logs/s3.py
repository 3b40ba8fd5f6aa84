"""The archive as a folder of a bucket: `logs.ports.Archive` on an object storage that speaks S3."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar

from remote_server.logs.ports import ArchiveUnavailable
from remote_server.s3 import Bucket, S3Unavailable

T = TypeVar("T")


class S3Archive:
    """All objects of a bucket below its prefix."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def put(self, name: str, content: Iterable[bytes]) -> None:
        """Store an object; in parts when it is long."""
        await _answer(self._bucket.put(name, content))

    async def get(self, name: str, offset: int, size: int) -> bytes | None:
        """Read a range."""
        return await _answer(self._bucket.get(name, offset, size))

    async def size(self, name: str) -> int | None:
        """Ask for the head of an object."""
        return await _answer(self._bucket.size(name))

    async def delete(self, name: str) -> None:
        """Remove an object."""
        await _answer(self._bucket.delete(name))

    async def names(self, after: str = "", limit: int = 1000) -> Sequence[str]:
        """List objects, at most a thousand at a time."""
        return await _answer(self._bucket.names(after, limit))

    def where(self, name: str) -> str:
        """The URL of an object."""
        return self._bucket.where(name)

    def close(self) -> None:
        """Begin nothing more; a put that goes on fails at its next block."""
        self._bucket.close()


async def _answer(request: Awaitable[T]) -> T:
    try:
        return await request
    except S3Unavailable as error:
        raise ArchiveUnavailable(f"the archive of logs {error}") from None
