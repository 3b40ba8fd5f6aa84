"""Logs that grow, as files: `logs.ports.LogStore` in a directory of a local disk.

One file an attempt, `<root>/<time part of the ULID>/<job>.<attempt>.log`, the same CRI bytes as the
agent's spool. A file's length is the truth for what has arrived (I5). Touches that directory, and
`<root>.orphaned` for what is set aside.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from remote_protocol.attempt_id import AttemptId
from remote_server.disk.files import checksum, make_folder, sync_folder
from remote_server.disk.group import GroupSync
from remote_server.disk.reserve import Reserve
from remote_server.logs.local.checksums import Checksums
from remote_server.logs.ports import LogUnavailable

MOST_OPEN: Final = 256
"""Descriptors that are kept open; the least recently used one is closed first."""
_SHARD: Final = 6
"""Characters of a ULID that name a folder: the jobs of 2**20 ms, about 17 minutes."""
_SMALL: Final = 64 * 1024
"""Bytes whose checksum is quicker than the hop to a thread."""
_BLOCK: Final = 256 * 1024
_PROBE: Final = b"\0" * 4096


class _File:
    """A log that is open for writing."""

    __slots__ = ("crc", "descriptor", "length", "named")

    def __init__(self, path: str) -> None:
        self.crc: int | None = None
        """Checksum of all of it; None when its beginning was not written through this object."""
        self.named = False
        """Whether the file's name is known to be durable."""
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            make_folder(Path(path).parent)
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.length = os.fstat(self.descriptor).st_size
        self.crc = None if self.length else 0

    def close(self) -> None:
        os.close(self.descriptor)


class FileLogs:
    """All logs below one directory, which leave the reserve free on its disk."""

    def __init__(self, root: Path, reserve: Reserve) -> None:
        self._root = root
        self._place = str(root)
        self._reserve = reserve
        self._open: OrderedDict[AttemptId, _File] = OrderedDict()
        self._group = GroupSync()
        self._checksums = Checksums()
        self._synced_shard = ""
        """The folder whose own name was made durable last: mostly that of the newest jobs."""

    def length(self, key: AttemptId) -> int | None:
        """Bytes that have arrived."""
        file = self._open.get(key)
        if file is not None:
            return file.length
        try:
            return os.stat(self.where(key)).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unavailable(key, error) from None

    def append(self, key: AttemptId, payload: memoryview | bytes) -> int:
        """Put bytes at the end."""
        if lack := self._reserve.lack():
            raise LogUnavailable(lack)
        file = self._writable(key)
        start, view = file.length, memoryview(payload)
        try:
            while view:
                view = view[os.pwrite(file.descriptor, view, file.length) :]
                file.length = start + len(payload) - len(view)
        except OSError as error:
            # A part of the payload may be there: the agent sends again from the length that holds.
            with suppress(OSError):
                os.ftruncate(file.descriptor, start)
            self.release(key)
            raise self._unavailable(key, error) from None
        if file.crc is not None:
            file.crc = crc32(payload, file.crc)
        self._reserve.written(len(payload))
        return file.length

    def read(self, key: AttemptId, offset: int, size: int) -> bytes | None:
        """At most `size` bytes from `offset` on."""
        file = self._open.get(key)
        try:
            if file is not None:
                return os.pread(file.descriptor, size, offset)
            descriptor = os.open(self.where(key), os.O_RDONLY)
            try:
                return os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unavailable(key, error) from None

    def truncate(self, key: AttemptId, length: int) -> None:
        """Cut a log to its first `length` bytes."""
        file = self._writable(key)
        if file.length <= length:
            return
        try:
            os.ftruncate(file.descriptor, length)
        except OSError as error:
            raise self._unavailable(key, error) from None
        file.length, file.crc = length, None if length else 0

    def extend(self, key: AttemptId, length: int, first: bytes, last: bytes) -> None:
        """Make a log `length` bytes long, with a hole in the file."""
        file = self._writable(key)
        if file.length >= length:
            return
        try:
            os.ftruncate(file.descriptor, length)
            os.pwrite(file.descriptor, first, file.length)
            os.pwrite(file.descriptor, last, length - len(last))
        except OSError as error:
            # A part may be there: the file's length must stay the truth.
            with suppress(OSError):
                os.ftruncate(file.descriptor, file.length)
            raise self._unavailable(key, error) from None
        file.length, file.crc = length, None

    def known_checksum(self, key: AttemptId, size: int) -> int | None:
        """The running checksum, if it is of so many bytes."""
        file = self._open.get(key)
        return file.crc if file is not None and file.length == size else None

    async def checksum(self, key: AttemptId, size: int, owner: str) -> int | None:
        """Short ones at once; long ones in threads of their own, in which owners take turns."""
        if (self.length(key) or 0) < size:
            return None
        path = Path(self.where(key))
        try:
            if size <= _SMALL:
                return checksum(path, size)
            return await self._checksums.crc(owner, path, size)
        except OSError as error:
            raise self._unavailable(key, error) from None

    async def sync(self, key: AttemptId) -> None:
        """fdatasync, and the folders above when the name is new; in a thread."""
        # Also when its descriptor was closed meanwhile, or by an earlier process: nobody has
        # synced what was written then.
        file = self._writable(key)
        shard = key.job[:_SHARD]
        folders = [] if file.named else [f"{self._place}{os.sep}{shard}"]
        if folders and shard != self._synced_shard:
            folders.append(self._place)
        descriptor = os.dup(file.descriptor)
        try:
            await self._group.sync(descriptor, folders)
        except OSError as error:
            raise self._unavailable(key, error) from None
        finally:
            os.close(descriptor)
        file.named = True
        self._synced_shard = shard

    def release(self, key: AttemptId) -> None:
        """Close its descriptor."""
        file = self._open.pop(key, None)
        if file is not None:
            file.close()

    def delete(self, key: AttemptId) -> None:
        """Remove the file, with its folder if that is empty then."""
        self.release(key)
        path = self.where(key)
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unavailable(key, error) from None
        self._remove_empty(path)

    def probe(self) -> None:
        """Whether there is room, and a file can be written."""
        if lack := self._reserve.lack():
            raise LogUnavailable(lack)
        probe = self._root / ".probe"
        try:
            try:
                probe.write_bytes(_PROBE)
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise LogUnavailable(f"{self._root} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Close every descriptor."""
        for key in [*self._open]:
            self.release(key)
        self._checksums.close()

    # For threads -------------------------------------------------------------------------------

    def content(self, key: AttemptId) -> Iterator[bytes]:
        """The whole file, block by block, by a descriptor of its own."""
        try:
            with open(self.where(key), "rb", buffering=0) as file:
                while block := file.read(_BLOCK):
                    yield block
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unavailable(key, error) from None

    def restore(self, key: AttemptId, content: Iterable[bytes]) -> None:
        """Write a file beside, and put it in place when it is whole."""
        path = Path(self.where(key))
        part = path.with_suffix(".part")
        try:
            make_folder(path.parent)
            with part.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise self._unavailable(key, error) from None
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def listing(self) -> Iterator[tuple[AttemptId, int]]:
        """All files of the names that logs have."""
        for shard in sorted(self._root.glob("*")):
            for path in sorted(shard.glob("*.log")):
                with suppress(FileNotFoundError, ValueError):
                    key = AttemptId.parse(path.stem)
                    if Path(self.where(key)) == path:
                        yield key, path.stat().st_size

    def where(self, key: AttemptId) -> str:
        """The path of a log."""
        # Each job comes this way: a path as text costs a tenth of an object.
        job = key.job
        return f"{self._place}{os.sep}{job[:_SHARD]}{os.sep}{job}.{key.number}.log"

    def set_aside(self, key: AttemptId) -> str:
        """Move the file beside the directory of logs."""
        self.release(key)
        path = Path(self.where(key))
        target = self._root.with_name(f"{self._root.name}.orphaned") / path.name
        try:
            make_folder(target.parent)
            path.rename(target)
        except OSError as error:
            raise self._unavailable(key, error) from None
        self._remove_empty(str(path))
        return str(target)

    def _remove_empty(self, path: str) -> None:
        """The last log of some minutes takes their folder with it."""
        with suppress(OSError):
            os.rmdir(os.path.dirname(path))
            # One of that name may be made anew, and its name is not durable then.
            self._synced_shard = ""

    def _writable(self, key: AttemptId) -> _File:
        file = self._open.get(key)
        if file is not None:
            self._open.move_to_end(key)
            return file
        try:
            file = _File(self.where(key))
        except OSError as error:
            raise self._unavailable(key, error) from None
        self._open[key] = file
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return file

    def _unavailable(self, key: AttemptId, error: OSError) -> LogUnavailable:
        return LogUnavailable(f"the log of {key} in {self._root}: {error.strerror or error}")
