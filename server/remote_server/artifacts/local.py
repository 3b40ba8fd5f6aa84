"""Artifacts as files: `<root>/<job>/<attempt>/<number>`, `.part` while one is received.

May touch that folder only. What blocks for long runs in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from remote_protocol.attempt_id import AttemptId
from remote_server.artifacts.ports import ArtifactUnavailable
from remote_server.disk.files import keep_whole, make_folder, write_at
from remote_server.disk.reserve import Reserve

_PART: Final = ".part"
_PIECE: Final = 1 << 20
_T = TypeVar("_T")


class LocalArtifacts:
    """The artifacts of all jobs below `root`. With `durable` a whole one survives a power cut."""

    def __init__(self, root: Path, reserve: Reserve, durable: bool = True) -> None:
        self.root = root
        self._reserve = reserve
        self._durable = durable

    def length(self, key: AttemptId, number: int) -> int:
        return self._try(lambda: self._size(self._part(key, number)))

    def append(self, key: AttemptId, number: int, offset: int, data: memoryview) -> None:
        if lack := self._reserve.lack():
            raise ArtifactUnavailable(lack)
        self._try(lambda: write_at(self._part(key, number), offset, data))
        self._reserve.written(len(data))

    def discard(self, key: AttemptId, number: int) -> None:
        self._try(lambda: self._part(key, number).unlink(missing_ok=True))

    def touched(self, key: AttemptId, number: int) -> float:
        try:
            return self._part(key, number).stat().st_mtime
        except OSError:
            return 0.0

    async def checksum(self, key: AttemptId, number: int) -> str:
        return await self._in_thread(lambda: _sha256(self._part(key, number)))

    async def finish(self, key: AttemptId, number: int) -> None:
        await self._in_thread(lambda: self._finish(self._part(key, number)))

    async def read(self, key: AttemptId, number: int, offset: int, size: int) -> bytes:
        path = self._part(key, number).with_suffix("")
        return await self._in_thread(lambda: _read(path, offset, size))

    async def delete(self, job: str) -> None:
        await self._in_thread(lambda: self._delete(job))

    def _part(self, key: AttemptId, number: int) -> Path:
        return self.root / key.job / str(key.number) / f"{number}{_PART}"

    def _size(self, part: Path) -> int:
        for path in (part, part.with_suffix("")):
            with suppress(FileNotFoundError):
                return path.stat().st_size
        return 0

    def _finish(self, part: Path) -> None:
        whole = part.with_suffix("")
        if not part.exists():
            if whole.exists():
                return
            # An empty one: nothing of it ever came.
            make_folder(part.parent)
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        folders = (whole.parent, whole.parent.parent, self.root) if self._durable else ()
        keep_whole(part, whole, folders)

    def _delete(self, job: str) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self.root / job)

    def _try(self, work: Callable[[], _T]) -> _T:
        try:
            return work()
        except OSError as error:
            raise ArtifactUnavailable(
                f"an artifact in {self.root} cannot be written or read: {error.strerror}"
            ) from None

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.to_thread(self._try, work)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _read(path: Path, offset: int, size: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)
