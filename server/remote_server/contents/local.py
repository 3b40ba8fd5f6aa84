"""Contents as files: `<root>/<two digits>/<digest>`, `<root>/parts/<digest>.<owner>` before.

May touch that folder only. What blocks for long runs in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from remote_server.contents.ports import ContentUnavailable, FoundPart, PartKey
from remote_server.disk.files import keep_whole, make_folder, write_at
from remote_server.disk.reserve import Reserve

_PARTS: Final = "parts"
_FOLDER: Final = 2
"""Characters of a digest that name the folder of its content."""
_PIECE: Final = 1 << 20
_T = TypeVar("_T")


class LocalContents:
    """The contents below `root`. With `durable` a whole one survives a power cut."""

    def __init__(self, root: Path, reserve: Reserve, durable: bool = True) -> None:
        self.root = root
        self._reserve = reserve
        self._durable = durable

    def parts(self) -> list[FoundPart]:
        return self._try(self._parts)

    def length(self, key: PartKey) -> int:
        return self._try(lambda: _size(self._part(key)) or 0)

    def append(self, key: PartKey, offset: int, data: memoryview) -> None:
        if lack := self._reserve.lack():
            raise ContentUnavailable(lack)
        self._try(lambda: write_at(self._part(key), offset, data))
        self._reserve.written(len(data))

    def discard(self, key: PartKey) -> None:
        self._try(lambda: self._part(key).unlink(missing_ok=True))

    async def checksum(self, key: PartKey) -> str:
        return await self._in_thread(lambda: _sha256(self._part(key)))

    async def finish(self, key: PartKey) -> None:
        await self._in_thread(lambda: self._finish(self._part(key), self._whole(key.digest)))

    async def kept(self) -> list[str]:
        return await self._in_thread(self._kept)

    async def size(self, digest: str) -> int | None:
        return await self._in_thread(lambda: _size(self._whole(digest)))

    async def read(self, digest: str, offset: int, size: int) -> bytes:
        return await self._in_thread(lambda: _read(self._whole(digest), offset, size))

    async def delete(self, digest: str) -> None:
        await self._in_thread(lambda: self._whole(digest).unlink(missing_ok=True))

    def _part(self, key: PartKey) -> Path:
        return self.root / _PARTS / f"{key.digest}.{key.owner}"

    def _whole(self, digest: str) -> Path:
        return self.root / digest[:_FOLDER] / digest

    def _parts(self) -> list[FoundPart]:
        found = []
        with suppress(FileNotFoundError):
            for entry in os.scandir(self.root / _PARTS):
                digest, _, owner = entry.name.partition(".")
                with suppress(FileNotFoundError):
                    about = entry.stat(follow_symlinks=False)
                    found.append(FoundPart(PartKey(digest, owner), about.st_size, about.st_mtime))
        return found

    def _finish(self, part: Path, whole: Path) -> None:
        make_folder(whole.parent)
        folders = (whole.parent, self.root) if self._durable else ()
        keep_whole(part, whole, folders)

    def _kept(self) -> list[str]:
        with suppress(FileNotFoundError):
            folders = [name for name in os.listdir(self.root) if len(name) == _FOLDER]
            return [name for folder in folders for name in os.listdir(self.root / folder)]
        return []

    def _try(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except OSError as error:
            raise ContentUnavailable(
                f"a content in {self.root} cannot be written or read: {error.strerror}"
            ) from None

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.to_thread(self._try, work)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _read(path: Path, offset: int, size: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)
