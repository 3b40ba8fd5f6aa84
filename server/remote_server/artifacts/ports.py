"""What the server asks of whatever keeps artifacts. Pure types.

An artifact is named by its attempt and its number there: `<job>/<attempt>/<number>`. It grows by
offset where it is received, a local place in any case; from `finish` on it is one whole object that
never changes, and is only read, by ranges, or deleted: nothing that an object storage lacks.
"""

from __future__ import annotations

from typing import Protocol

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_server.errors import ServerError


class ArtifactUnavailable(ServerError):
    """An artifact cannot be written or read now (disk full, no rights); trying again may help."""

    code = ErrorCode.STORE_UNAVAILABLE


class ArtifactStore(Protocol):
    """Where artifacts are. Every method raises ArtifactUnavailable."""

    def length(self, key: AttemptId, number: int) -> int:
        """Bytes that have come of one that is being received: the truth (I5). 0 for an unknown."""

    def append(self, key: AttemptId, number: int, offset: int, data: memoryview) -> None:
        """Put bytes at the end, which is at `offset`."""

    def discard(self, key: AttemptId, number: int) -> None:
        """Forget what has come of one that is being received."""

    def touched(self, key: AttemptId, number: int) -> float:
        """Unix time at which something of it came last; 0 when nothing is there."""

    async def checksum(self, key: AttemptId, number: int) -> str:
        """SHA-256 of what has come."""

    async def finish(self, key: AttemptId, number: int) -> None:
        """It is whole: durable from now on. Again it changes nothing."""

    async def read(self, key: AttemptId, number: int, offset: int, size: int) -> bytes:
        """Bytes of a whole one; fewer only at its end."""

    async def delete(self, job: str) -> None:
        """Forget all of a job, received or not."""
