"""Logs of attempts as files: append at the end, read anywhere, follow, compare, remove.

One file an attempt, `<data>/logs/<time part of the ULID>/<job>/<attempt>.log`, the same CRI bytes
as the agent's spool; packed as `<attempt>.log.gz` some time after its end. A file's length is the
truth for what has arrived (I5). May touch that folder only.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_server.disk.files import checksum, make_folder
from remote_server.disk.group import GroupSync
from remote_server.disk.reserve import Reserve
from remote_server.errors import ServerError
from remote_server.logs.checksums import Checksums
from remote_server.logs.gap import fill_gap
from remote_server.logs.packed import PackedLog, pack, packed_length, unpack

MOST_OPEN: Final = 256
"""Descriptors that are kept open; the least recently used one is closed first."""
MOST_PACKED: Final = 8
"""Packed logs that are kept open, each with one decompressed block."""
_MOST_FINISHED: Final = 100_000
_PROBE: Final = b"\0" * 4096
_SHARD: Final = 6
"""Characters of a ULID that name a folder: the jobs of 2**20 ms, about 17 minutes."""
_SMALL: Final = 64 * 1024
"""Bytes whose checksum is quicker than the hop to a thread."""


class LogUnavailable(ServerError):
    """A log cannot be written or read now (disk full, no rights); trying again may help."""

    code = ErrorCode.STORE_UNAVAILABLE


class _Log:
    __slots__ = ("crc", "descriptor", "length", "named", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.length = 0
        self.crc: int | None = None
        """Checksum of all of it; None when its beginning was not written through this object."""
        self.named = False
        """Whether the file's name is known to be durable."""
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            make_folder(path.parent)
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.length = os.fstat(self.descriptor).st_size
        self.crc = None if self.length else 0

    def close(self) -> None:
        os.close(self.descriptor)


class LogStore:
    """All logs below one folder. Calls block for one disk access at the most, unless they say so.

    `received` counts the bytes appended since the start, `torn` the logs that will never be
    complete. `finished` holds, oldest first, logs that
    ended and are worth packing, of at least `worth_packing` bytes; the packer takes them.
    """

    def __init__(self, root: Path, worth_packing: int = 0, reserve: Reserve | None = None) -> None:
        self.root = root
        self._place = str(root)
        self.reserve = reserve or Reserve(root, 0)
        """The room that logs must leave on the disk."""
        self._worth_packing = worth_packing
        self.received = 0
        self.torn = 0
        self.finished: deque[AttemptId] = deque(maxlen=_MOST_FINISHED)
        self._open: OrderedDict[AttemptId, _Log] = OrderedDict()
        self._packed: OrderedDict[AttemptId, PackedLog] = OrderedDict()
        self._followers: dict[AttemptId, set[asyncio.Event]] = {}
        self._group = GroupSync()
        self._checksums = Checksums()
        self._synced_shard: Path | None = None
        """The folder of the newest jobs whose own name is durable."""

    def path(self, key: AttemptId) -> Path:
        """Where an attempt's log lies while it is not packed."""
        return self.root / key.job[:_SHARD] / key.job / f"{key.number}.log"

    def length(self, key: AttemptId) -> int:
        """Bytes that have arrived; 0 when there is no file. LogUnavailable."""
        log = self._open.get(key)
        if log is not None:
            return log.length
        path = self.path(key)
        try:
            return path.stat().st_size
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unavailable(key, error) from None
        try:
            return packed_length(_gz(path))
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise self._unavailable(key, error) from None

    def begin(self, key: AttemptId) -> None:
        """Nothing of this log has come yet: what lies under its name is not its own. A newer log
        lies there when an older database was restored beside the logs. LogUnavailable."""
        self._discard(key)
        # Each job comes this way: a path as text costs a tenth of an object.
        plain = f"{self._place}{os.sep}{key.job[:_SHARD]}{os.sep}{key.job}{os.sep}{key.number}.log"
        try:
            for form in (plain, f"{plain}.gz"):
                with suppress(FileNotFoundError):
                    os.unlink(form)
        except OSError as error:
            raise self._unavailable(key, error) from None

    def append(self, key: AttemptId, payload: memoryview | bytes) -> int:
        """Put bytes at the end; gives the new length. LogUnavailable: nothing was appended."""
        self.require_room()
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
        self.reserve.written(len(payload))
        self._tell(key)
        return log.length

    def require_room(self) -> None:
        """LogUnavailable when the disk has no room for logs."""
        if lack := self.reserve.lack():
            raise LogUnavailable(lack)

    def probe(self) -> None:
        """Write something, and forget it. LogUnavailable when that is not possible now."""
        self.require_room()
        probe = self.root / ".probe"
        try:
            probe.write_bytes(_PROBE)
        except OSError as error:
            raise LogUnavailable(f"logs cannot be written: {error.strerror}") from None
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)

    def read(self, key: AttemptId, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on; empty at the end. LogUnavailable."""
        log = self._open.get(key)
        try:
            if log is not None:
                return os.pread(log.descriptor, size, offset)
            try:
                descriptor = os.open(self.path(key), os.O_RDONLY)
            except FileNotFoundError:
                return self._read_packed(key, offset, size)
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._unavailable(key, error) from None

    def truncate(self, key: AttemptId, length: int = 0) -> None:
        """Cut a log to its first `length` bytes; a shorter one stays as it is. LogUnavailable."""
        log = self._writable(key)
        if log.length <= length:
            return
        try:
            os.ftruncate(log.descriptor, length)
        except OSError as error:
            raise self._unavailable(key, error) from None
        log.length, log.crc = length, None if length else 0

    def fill(self, key: AttemptId, length: int, now: float) -> None:
        """Make a log that is shorter `length` bytes long, with a note of what will never come.

        LogUnavailable.
        """
        log = self._writable(key)
        if log.length >= length:
            return
        try:
            fill_gap(log.descriptor, log.length, length, now)
        except OSError as error:
            # A part of the note may be there: the file's length must stay the truth.
            with suppress(OSError):
                os.ftruncate(log.descriptor, log.length)
            raise self._unavailable(key, error) from None
        log.length, log.crc = length, None
        self._tell(key)

    def known_checksum(self, key: AttemptId, size: int) -> int | None:
        """CRC-32 of the first `size` bytes if that is known without reading them."""
        if size == 0:
            return 0
        log = self._open.get(key)
        return log.crc if log is not None and log.length == size else None

    async def checksum(self, key: AttemptId, size: int, owner: str = "") -> int | None:
        """CRC-32 of the first `size` bytes; None when there are fewer. Long ones in threads of
        their own, in which those of each `owner` take turns.

        LogUnavailable.
        """
        known = self.known_checksum(key, size)
        if known is not None:
            return known
        if self.length(key) < size:
            return None
        try:
            path = self._plain(key)
            if size <= _SMALL:
                return checksum(path, size)
            return await self._checksums.crc(owner, path, size)
        except OSError as error:
            raise self._unavailable(key, error) from None

    async def sync(self, key: AttemptId) -> None:
        """Make a log durable (fdatasync), and its name if it is new; in a thread.

        LogUnavailable.
        """
        # Also when its descriptor was closed meanwhile, or by an earlier process: nobody has
        # synced what was written then.
        log = self._writable(key)
        shard = log.path.parent.parent
        folders = [] if log.named else [log.path.parent, shard]
        if folders and shard != self._synced_shard:
            folders.append(self.root)
        descriptor = os.dup(log.descriptor)
        try:
            await self._group.sync(descriptor, folders)
        except OSError as error:
            raise self._unavailable(key, error) from None
        finally:
            os.close(descriptor)
        log.named = True
        self._synced_shard = shard

    def finish(self, key: AttemptId) -> None:
        """Nothing will be appended any more: let the descriptor go, tell followers."""
        log = self._open.get(key)
        if log is not None and log.length >= self._worth_packing:
            self.finished.append(key)
        self._discard(key)
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

    async def delete(self, key: AttemptId) -> None:
        """Remove the log of an attempt; a missing one is no error. Followers see it end."""
        self._discard(key)
        path = self.path(key)
        try:
            path.unlink(missing_ok=True)
            _gz(path).unlink(missing_ok=True)
            _gz(path).with_suffix(".part").unlink(missing_ok=True)
            # The last one of a job takes its folder with it, and that of its minutes.
            path.parent.rmdir()
            path.parent.parent.rmdir()
        except OSError:
            pass
        self._tell(key)

    async def pack(self, key: AttemptId) -> bool:
        """Replace a log that has ended by its packed form, in a thread; whether there was one.

        Whoever reads it meanwhile notices nothing. LogUnavailable: it stays as it was.
        """
        path = self.path(key)
        try:
            await asyncio.to_thread(pack, path, _gz(path))
            self._discard(key)
            path.unlink()
        except FileNotFoundError:
            # Deleted meanwhile: nothing may be left of it.
            await self.delete(key)
            return False
        except OSError as error:
            raise self._unavailable(key, error) from None
        return True

    def forms(self, key: AttemptId) -> tuple[Path, Path]:
        """Where an attempt's log may lie: plain and packed. The plain one counts if both exist."""
        path = self.path(key)
        return path, _gz(path)

    def jobs(self) -> Iterator[str]:
        """Every job that has a folder, oldest first."""
        for shard in sorted(self.root.glob("*")):
            for folder in sorted(shard.glob("*")):
                yield folder.name

    def plain(self) -> Iterator[AttemptId]:
        """Logs that are not packed and worth it, oldest first. Reads all folders: for a thread."""
        for job in self.jobs():
            for path in sorted((self.root / job[:_SHARD] / job).glob("*.log")):
                with suppress(FileNotFoundError):
                    if path.stem.isdecimal() and path.stat().st_size >= self._worth_packing:
                        yield AttemptId(job, int(path.stem))

    def close(self) -> None:
        """Close every descriptor."""
        for key in [*self._open, *self._packed]:
            self._discard(key)
        self._checksums.close()

    def _writable(self, key: AttemptId) -> _Log:
        log = self._open.get(key)
        if log is not None:
            self._open.move_to_end(key)
            return log
        try:
            log = _Log(self._plain(key))
        except OSError as error:
            raise self._unavailable(key, error) from None
        self._open[key] = log
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return log

    def _plain(self, key: AttemptId) -> Path:
        """The log's path, unpacked where it must be: only after a restored, older database does a
        packed log belong to an attempt that has not ended."""
        path = self.path(key)
        if not path.exists() and _gz(path).exists():
            unpack(_gz(path), path)
            self._discard(key)
            _gz(path).unlink()
        return path

    def _read_packed(self, key: AttemptId, offset: int, size: int) -> bytes:
        log = self._packed.get(key)
        if log is None:
            try:
                log = PackedLog(_gz(self.path(key)))
            except FileNotFoundError:
                return b""
            self._packed[key] = log
            if len(self._packed) > MOST_PACKED:
                self._packed.popitem(last=False)[1].close()
        self._packed.move_to_end(key)
        return log.read(offset, size)

    def _discard(self, key: AttemptId) -> None:
        for kept in (self._open.pop(key, None), self._packed.pop(key, None)):
            if kept is not None:
                kept.close()

    def _tell(self, key: AttemptId) -> None:
        for event in self._followers.get(key, ()):
            event.set()

    def _unavailable(self, key: AttemptId, error: OSError) -> LogUnavailable:
        return LogUnavailable(f"the log of {key} in {self.root}: {error.strerror or error}")


def _gz(path: Path) -> Path:
    return path.with_suffix(".log.gz")
