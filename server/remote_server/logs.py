"""Logs of attempts as files: append at the end, read anywhere, follow, compare, remove.

One file an attempt, `<data>/logs/<time part of the ULID>/<job>/<attempt>.log`, the same CRI bytes
as the agent's spool. A file's length is the truth for what has arrived (I5). May touch that folder
only.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from remote_protocol.errors import ErrorCode
from remote_server.domain.model import Key
from remote_server.errors import ServerError

MOST_OPEN: Final = 256
"""Descriptors that are kept open; the least recently used one is closed first."""
_SHARD: Final = 6
"""Characters of a ULID that name a folder: jobs of about four minutes."""
_PIECE: Final = 1024 * 1024
_SMALL: Final = 64 * 1024
"""Bytes whose fsync or checksum is quicker than the hop to a thread."""


class LogUnavailable(ServerError):
    """A log cannot be written or read now (disk full, no rights); trying again may help."""

    code = ErrorCode.STORE_UNAVAILABLE


class _Log:
    __slots__ = ("crc", "descriptor", "length", "named", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = -1
        self.length = 0
        self.crc: int | None = None
        """Checksum of all of it; None when its beginning was written by an earlier process."""
        self.named = False
        """Whether the file's name is durable."""

    def open(self) -> None:
        try:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        self.length = os.fstat(self.descriptor).st_size
        self.crc = None if self.length else 0
        self.named = self.length > 0

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class LogStore:
    """All logs below one folder. Calls block for one disk access at the most, unless they say so.

    `received` counts the bytes appended since the start.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.received = 0
        self._open: OrderedDict[Key, _Log] = OrderedDict()
        self._followers: dict[Key, set[asyncio.Event]] = {}

    def path(self, key: Key) -> Path:
        """Where an attempt's log lies."""
        return self.root / key.job[:_SHARD] / key.job / f"{key.attempt}.log"

    def length(self, key: Key) -> int:
        """Bytes that have arrived; 0 when there is no file."""
        log = self._open.get(key)
        if log is not None:
            return log.length
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._unavailable(key, error) from None

    def append(self, key: Key, payload: memoryview | bytes) -> int:
        """Put bytes at the end; gives the new length. LogUnavailable: nothing was appended."""
        log = self._writable(key)
        start, view = log.length, memoryview(payload)
        try:
            while view:
                view = view[os.pwrite(log.descriptor, view, log.length) :]
                log.length = start + len(payload) - len(view)
        except OSError as error:
            # A part of the payload may be there: the agent sends again from the length that holds.
            with suppress(OSError):
                os.ftruncate(log.descriptor, start)
            self._discard(key)
            raise self._unavailable(key, error) from None
        if log.crc is not None:
            log.crc = crc32(payload, log.crc)
        self.received += len(payload)
        self._tell(key)
        return log.length

    def read(self, key: Key, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on; empty at the end. LogUnavailable."""
        log = self._open.get(key)
        try:
            if log is not None:
                return os.pread(log.descriptor, size, offset)
            descriptor = os.open(self.path(key), os.O_RDONLY)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._unavailable(key, error) from None
        try:
            return os.pread(descriptor, size, offset)
        except OSError as error:
            raise self._unavailable(key, error) from None
        finally:
            os.close(descriptor)

    def truncate(self, key: Key) -> None:
        """Cut a log to nothing."""
        log = self._writable(key)
        try:
            os.ftruncate(log.descriptor, 0)
        except OSError as error:
            raise self._unavailable(key, error) from None
        log.length, log.crc = 0, 0

    async def checksum(self, key: Key, size: int) -> int | None:
        """CRC-32 of the first `size` bytes; None when there are fewer. Long ones in a thread."""
        log = self._open.get(key)
        if log is not None and log.crc is not None and log.length == size:
            return log.crc
        if self.length(key) < size:
            return None
        if size == 0:
            return 0
        try:
            if size <= _SMALL:
                return _checksum(self.path(key), size)
            return await asyncio.to_thread(_checksum, self.path(key), size)
        except OSError as error:
            raise self._unavailable(key, error) from None

    async def sync(self, key: Key) -> None:
        """Make a log durable (fdatasync), and its name if it is new. Long ones in a thread."""
        log = self._open.get(key)
        if log is None:
            return
        descriptor = os.dup(log.descriptor)
        name = None if log.named else log.path
        log.named = True
        try:
            if log.length <= _SMALL:
                _sync(descriptor, name)
            else:
                await asyncio.to_thread(_sync, descriptor, name)
        except OSError as error:
            raise self._unavailable(key, error) from None
        finally:
            os.close(descriptor)

    def finish(self, key: Key) -> None:
        """Nothing will be appended any more: let the descriptor go, tell followers."""
        self._discard(key)
        self._tell(key)

    @contextmanager
    def follow(self, key: Key, changed: asyncio.Event) -> Iterator[None]:
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

    async def delete(self, key: Key) -> None:
        """Remove the log of an attempt; a missing one is no error. Followers see it end."""
        self._discard(key)
        path = self.path(key)
        try:
            path.unlink(missing_ok=True)
            # The last one of a job takes its folder with it, and that of its minutes.
            path.parent.rmdir()
            path.parent.parent.rmdir()
        except OSError:
            pass
        self._tell(key)

    def jobs(self) -> Iterator[str]:
        """Every job that has a folder, oldest first."""
        for shard in sorted(self.root.glob("*")):
            for folder in sorted(shard.glob("*")):
                yield folder.name

    def close(self) -> None:
        """Close every descriptor."""
        for key in list(self._open):
            self._discard(key)

    def _writable(self, key: Key) -> _Log:
        log = self._open.get(key)
        if log is not None:
            self._open.move_to_end(key)
            return log
        log = _Log(self.path(key))
        try:
            log.open()
        except OSError as error:
            raise self._unavailable(key, error) from None
        self._open[key] = log
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return log

    def _discard(self, key: Key) -> None:
        log = self._open.pop(key, None)
        if log is not None:
            log.close()

    def _tell(self, key: Key) -> None:
        for event in self._followers.get(key, ()):
            event.set()

    def _unavailable(self, key: Key, error: OSError) -> LogUnavailable:
        return LogUnavailable(f"the log of {key} in {self.root}: {error.strerror or error}")


def check_log(store: LogStore, key: Key, size: int, checksum: int | None) -> str:
    """What is wrong with a finished log, in words; empty when nothing is. Reads all of it."""
    path = store.path(key)
    try:
        length = path.stat().st_size
    except FileNotFoundError:
        length = 0
    if length < size:
        return f"{path} has {length} bytes, {size} were reported"
    if size and checksum is not None and _checksum(path, size) != checksum:
        return f"{path}: its checksum is not the reported one"
    return ""


def _checksum(path: Path, size: int) -> int:
    crc = 0
    with path.open("rb", buffering=0) as file:
        while size and (piece := file.read(min(size, _PIECE))):
            crc = crc32(piece, crc)
            size -= len(piece)
    return crc


def _sync(descriptor: int, path: Path | None) -> None:
    os.fdatasync(descriptor)
    if path is None:
        return
    # The file's name is durable only with its folder; a job's folder only with the shard.
    for folder in (path.parent, path.parent.parent):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
