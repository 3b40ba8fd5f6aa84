"""Contents that this host has of jobs: files by their SHA-256, the ones used last kept.

Touches the folder `contents` of the state directory, which is the agent's alone: jobs get copies.
One that is received is `<digest>.part`; it gets its name when all of it was compared and is on the
disk. What a former agent has left is gone on with.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from remote_protocol.contents import ContentRef
from remote_protocol.units import format_size

log = structlog.get_logger("janitor")

Needed = Callable[[str], bool]
"""Whether an attempt waits for the content of a digest."""

_PART: Final = ".part"
_PIECE: Final = 1 << 20
_FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)


class ContentCache:
    """The contents in `folder`. `most` bytes are kept of those that no job waits for; `reserve` is
    what stays free on the disk."""

    def __init__(self, folder: Path, most: int, reserve: int) -> None:
        self._folder = folder
        self.most = most
        self.reserve = reserve

    def prepare(self) -> None:
        """Make the folder. OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def has(self, content: ContentRef) -> bool:
        """Whether all of it is here."""
        try:
            return (self._folder / content.digest).stat().st_size == content.size
        except OSError:
            return False

    def length(self, content: ContentRef) -> int:
        """Bytes that have come of one that is not whole."""
        try:
            return min((self._folder / f"{content.digest}{_PART}").stat().st_size, content.size)
        except OSError:
            return 0

    def lacking(self, content: ContentRef, needed: Needed) -> str:
        """Why there is no room for one and a job's copy of it, as a sentence; empty when there is.
        Makes room of what is not `needed`. OSError."""
        wanted = 2 * content.size - self.length(content) + self.reserve
        if shutil.disk_usage(self._folder).free < wanted:
            self.trim(needed, 0)
        free = shutil.disk_usage(self._folder).free
        if free >= wanted:
            return ""
        return (
            f"this host has no room for a file of the job: {format_size(wanted)} are needed, the "
            f"job's copy and [limits] min_free_disk among them, and {format_size(free)} are free; "
            "make room there, or have another agent run it"
        )

    def append(self, content: ContentRef, offset: int, data: memoryview) -> None:
        """Put bytes at the end, which is at `offset`. OSError."""
        path = self._folder / f"{content.digest}{_PART}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | _FLAGS | _NOFOLLOW, 0o600)
        try:
            # At its offset, and not at the end: what a failed write has left is written over.
            os.lseek(descriptor, offset, os.SEEK_SET)
            while data:
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)

    def finish(self, content: ContentRef) -> bool:
        """All has come: compare it and keep it; False, and nothing is left of it, when it is
        another one. Slow: in a thread. OSError."""
        part = self._folder / f"{content.digest}{_PART}"
        digest = hashlib.sha256()
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | _FLAGS | _NOFOLLOW, 0o600)
        try:
            while piece := os.read(descriptor, _PIECE):
                digest.update(piece)
            if digest.hexdigest() != content.digest:
                part.unlink()
                return False
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(part, self._folder / content.digest)
        return True

    def open(self, content: ContentRef) -> int:
        """A descriptor of a whole one, which is used now. OSError."""
        path = self._folder / content.digest
        with suppress(OSError):
            os.utime(path)
        return os.open(path, os.O_RDONLY | _FLAGS | _NOFOLLOW)

    def trim(self, needed: Needed, most: int | None = None) -> int:
        """Remove what was used longest ago of what is not `needed`, until all takes at most so many
        bytes; how many are free then. Each is asked about when its turn comes: an attempt that
        needs it may have come meanwhile. OSError."""
        found = []
        total = 0
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                total += about.st_size
                found.append((about.st_mtime, about.st_size, entry.name))
        freed, limit = 0, self.most if most is None else most
        for _, size, name in sorted(found):
            if total - freed <= limit:
                break
            if needed(name.removesuffix(_PART)):
                continue
            with suppress(FileNotFoundError):
                os.unlink(self._folder / name)
            freed += size
        if freed:
            log.info("removed contents of jobs", size=format_size(freed))
        return freed
