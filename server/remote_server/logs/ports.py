"""What the server needs of whatever keeps logs: a store while they grow, an archive afterwards.

A `LogStore` appends: output bytes go from the link into it and from it to viewers, so that its
calls answer at once. An `Archive` keeps packed logs as whole objects. It is asked for nothing that
an object storage cannot do: no append, no writing in place, no renaming, no locks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_server.errors import ServerError


class LogUnavailable(ServerError):
    """A log cannot be written or read now (disk full, no rights); trying again may help."""

    code = ErrorCode.STORE_UNAVAILABLE


class ArchiveUnavailable(LogUnavailable):
    """The archive cannot be used now, or does not answer; trying again may help."""

    retry_after = 30


class LogStore(Protocol):
    """Logs that may still grow, each a series of bytes that is written at its end.

    All but the last group is called in the event loop, which it blocks for one access to a local
    disk at the most. Everything may raise LogUnavailable; what could not be written whole was not
    written at all, and `length` stays the truth for what has arrived (I5).
    """

    def length(self, key: AttemptId) -> int | None:
        """Bytes that have arrived; None when no log of this name is here."""

    def append(self, key: AttemptId, payload: memoryview | bytes) -> int:
        """Put bytes at the end, of a new log if need be; gives the new length."""

    def read(self, key: AttemptId, offset: int, size: int) -> bytes | None:
        """At most `size` bytes from `offset` on, fewer only at the end; None when no log of this
        name is here."""

    def truncate(self, key: AttemptId, length: int) -> None:
        """Cut a log to its first `length` bytes; a shorter one stays as it is, a missing one is
        there afterwards, and empty."""

    def extend(self, key: AttemptId, length: int, first: bytes, last: bytes) -> None:
        """Make a log `length` bytes long. What is new begins with `first`, ends with `last`, and is
        zeros in between, which should cost no room. Shorter than the log: nothing happens."""

    def known_checksum(self, key: AttemptId, size: int) -> int | None:
        """CRC-32 of the first `size` bytes if that is known without reading them."""

    async def checksum(self, key: AttemptId, size: int, owner: str) -> int | None:
        """CRC-32 of the first `size` bytes; None when there are fewer. `owner`: whose log it is,
        so that nobody waits for all the logs of somebody else."""

    async def sync(self, key: AttemptId) -> None:
        """Have a log survive a power cut, with its name."""

    def release(self, key: AttemptId) -> None:
        """Nothing will be appended for now: keep nothing open for it."""

    def delete(self, key: AttemptId) -> None:
        """Remove a log; a missing one is no error."""

    def probe(self) -> None:
        """Try whether logs can be written now."""

    def close(self) -> None:
        """Keep nothing open any more."""

    # For threads: they share nothing with the calls above ---------------------------------------

    def content(self, key: AttemptId) -> Iterator[bytes]:
        """The whole of a log, block by block; nothing when no log of this name is here."""

    def restore(self, key: AttemptId, content: Iterable[bytes]) -> None:
        """Put a whole log in place, durably: all of it or nothing."""

    def listing(self) -> Iterator[tuple[AttemptId, int]]:
        """Every log that is here with its length, oldest job first."""

    def where(self, key: AttemptId) -> str:
        """The place of a log, for people."""

    def set_aside(self, key: AttemptId) -> str:
        """Take a log out of the store without deleting it; its new place, for people."""


class Archive(Protocol):
    """Whole objects with names, in a directory, an object storage or elsewhere.

    Names are made of ASCII letters, digits, dots, dashes and slashes. Everything may raise
    ArchiveUnavailable, and may take its time: nothing of it may block the event loop. It may be
    asked for several objects at once, and by several processes.
    """

    async def put(self, name: str, content: Iterable[bytes]) -> None:
        """Store an object, instead of the one of that name if there is one.

        It appears whole or not at all, and is durable when this returns: the original is removed
        then. `content` is read in a thread, once, block by block; what it raises is raised.
        """

    async def get(self, name: str, offset: int, size: int) -> bytes | None:
        """At most `size` bytes from `offset` on, fewer only at the object's end; None when there is
        no such object."""

    async def size(self, name: str) -> int | None:
        """Bytes of an object; None when there is no such object."""

    async def delete(self, name: str) -> None:
        """Remove an object; a missing one is no error."""

    async def names(self, after: str = "", limit: int = 1000) -> Sequence[str]:
        """A page of the names of all objects, in the order of their characters; go on after the
        last one."""

    def where(self, name: str) -> str:
        """The place of an object, for people."""

    def close(self) -> None:
        """Begin nothing more, and end what is going on soon."""
