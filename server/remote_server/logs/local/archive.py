"""The archive as a directory: `logs.ports.Archive` on a file system that may be a shared mount.

An object is a file of its name. It is written under another name in the same directory, synced, and
renamed. The directory itself is never made here: where a mount is missing, logs must not go to the
disk below it. Works in threads of its own, so that a mount that hangs holds nobody else. Touches
that directory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from remote_server.disk.files import make_folder, sync_folder
from remote_server.logs.ports import ArchiveUnavailable

T = TypeVar("T")
THREADS: Final = 3
"""They read. One more writes: a put that hangs keeps nobody from reading, however often others are
tried after it."""
_PART: Final = ".part"


class DirectoryArchive:
    """All objects below one directory, which must be there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="archive")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="archive-put")
        self._closed = False

    async def put(self, name: str, content: Iterable[bytes]) -> None:
        """Write the file beside its place, then put it there."""
        await self._run(lambda: self._put(self._root / name, content), self._writer)

    async def get(self, name: str, offset: int, size: int) -> bytes | None:
        """Read a part of a file."""
        return await self._run(lambda: self._get(self._root / name, offset, size))

    async def size(self, name: str) -> int | None:
        """The length of a file."""
        return await self._run(lambda: self._size(self._root / name))

    async def delete(self, name: str) -> None:
        """Remove a file, what an interrupted put of it has left, and folders that become empty."""
        await self._run(lambda: self._delete(self._root / name))

    async def names(self, after: str = "", limit: int = 1000) -> Sequence[str]:
        """The names of files."""
        return await self._run(lambda: list(islice(self._names(after), limit)))

    def where(self, name: str) -> str:
        """The path of an object."""
        return str(self._root / name)

    def close(self) -> None:
        """Begin nothing more; a put that goes on fails at its next block."""
        self._closed = True
        for pool in (self._pool, self._writer):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T], pool: ThreadPoolExecutor | None = None) -> T:
        if self._closed:
            raise ArchiveUnavailable("the server is stopping")
        try:
            return await asyncio.get_running_loop().run_in_executor(pool or self._pool, work)
        except OSError as error:
            raise ArchiveUnavailable(
                f"the archive of logs {self._root}: {error.strerror or error}"
            ) from None

    # In a thread -------------------------------------------------------------------------------

    def _put(self, path: Path, content: Iterable[bytes]) -> None:
        self._require_root()
        self._make_folder(path.parent)
        _remove_parts(path)
        # A name that nobody else has: a server that was replaced may still be writing.
        part = path.with_name(f".{path.name}.{os.urandom(6).hex()}{_PART}")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for block in content:
                    if self._closed:
                        raise ArchiveUnavailable("the server is stopping")
                    file.write(block)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def _make_folder(self, folder: Path) -> None:
        """Make a folder below the root, and its name durable."""
        missing = [folder, *folder.parents]
        missing = [one for one in missing[: missing.index(self._root)] if not one.is_dir()]
        if missing:
            make_folder(folder)
            for one in missing:
                sync_folder(one.parent)

    def _get(self, path: Path, offset: int, size: int) -> bytes | None:
        try:
            with path.open("rb", buffering=0) as file:
                return os.pread(file.fileno(), size, offset)
        except FileNotFoundError:
            self._require_root()
            return None

    def _size(self, path: Path) -> int | None:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            self._require_root()
            return None

    def _delete(self, path: Path) -> None:
        self._require_root()
        try:
            _remove_parts(path)
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        with suppress(OSError):
            for folder in path.parents:
                if folder == self._root:
                    return
                folder.rmdir()

    def _names(self, after: str) -> Iterator[str]:
        self._require_root()
        yield from self._below(self._root, "", after)

    def _below(self, folder: Path, prefix: str, after: str) -> Iterator[str]:
        """Names in the order of their characters, where a folder's name counts with its slash."""
        try:
            # Links are not followed: one that leads upwards would give names without end.
            entries = [
                (f"{prefix}{e.name}", e.is_dir(follow_symlinks=False)) for e in os.scandir(folder)
            ]
        except FileNotFoundError:  # removed meanwhile
            return
        for name, inner in sorted(
            (f"{name}/" if inner else name, inner) for name, inner in entries
        ):
            if inner:
                # Folders whose names all come before are not looked into.
                if name > after or after.startswith(name):
                    yield from self._below(self._root / name, name, after)
            elif name > after and not name.endswith(_PART):
                yield name

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise ArchiveUnavailable(
                f"the archive of logs {self._root} is not there; mount it, or make the directory"
            )


def _remove_parts(path: Path) -> None:
    """What an interrupted put of an object has left. One that still goes on fails by it."""
    with suppress(FileNotFoundError):
        for entry in os.scandir(path.parent):
            if entry.name.startswith(f".{path.name}.") and entry.name.endswith(_PART):
                os.unlink(entry.path)
