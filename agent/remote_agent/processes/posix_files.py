"""Directories by their descriptors, locks and the few file calls that differ elsewhere (POSIX).

A folder is looked up once; everything in it is then named relative to its descriptor (openat(2)
and its like), so no later rename or path length matters. These calls are on every job's path.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

READ: Final = os.O_RDONLY | os.O_CLOEXEC
NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
REPLACE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
KEEP: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
"""How a file is opened: to read; made, and not there before; emptied or made; appended to;
as it is, for reading and writing."""

_OWN: Final = stat.S_IFDIR | 0o700

open_file = os.open
"""A descriptor of a file that others may rename and delete meanwhile."""
rename = os.rename
"""Give a file or a folder another name, in place of what has it."""
write_some = os.writev
"""Write some bytes of these buffers at the end of an appended file; how many."""
sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
"""Force a file's content to the disk."""
set_mode = os.fchmod
"""Permissions of an open file."""


def read_at(descriptor: int, view: memoryview, offset: int) -> int:
    """Fill `view` from `offset` of a file on; how many bytes there were."""
    return os.preadv(descriptor, [view], offset)


def unlinked(descriptor: int) -> bool:
    """Whether an open file has no name any more."""
    return os.fstat(descriptor).st_nlink == 0


def sync(path: Path) -> None:
    """Force a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, READ)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_file(descriptor: int) -> bool:
    """Take the exclusive lock of an open file, until it is closed; False when another has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def own(folder: Path) -> None:
    """Keep others out of a folder that exists; its mode is given when it is made."""


def open_to_others(mode: int) -> bool:
    """Whether a file of this mode can be read or written by others than its owner."""
    return bool(mode & 0o077)


def unfit(path: str) -> str:
    """Why a file of a job cannot have this relative path here; empty when it can."""
    return ""


class Folder:
    """An open directory. OSError when it cannot be opened."""

    __slots__ = ("descriptor",)

    def __init__(self, path: str | Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def close(self) -> None:
        """Close it; its lock goes with it."""
        os.close(self.descriptor)

    def open(self, name: str, how: int) -> int:
        """A descriptor of a file in it, readable by its owner only when it is made."""
        return os.open(name, how, 0o600, dir_fd=self.descriptor)

    def exists(self, name: str) -> bool:
        """Whether there is such a name in it."""
        try:
            os.stat(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            return False
        return True

    def rename(self, name: str, other: str) -> None:
        """Give a file in it another name, in place of what has it."""
        os.rename(name, other, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def remove(self, name: str) -> None:
        """Delete a file in it."""
        os.unlink(name, dir_fd=self.descriptor)

    def untouched(self, name: str) -> bool:
        """Whether a folder in it is still as it was made: empty, and open to its owner only."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(OSError):
            folder = os.open(name, flags, dir_fd=self.descriptor)
            try:
                return os.fstat(folder).st_mode == _OWN and not os.listdir(folder)
            finally:
                os.close(folder)
        return False

    def names(self) -> list[str]:
        """All names in it."""
        return os.listdir(self.descriptor)

    def sync(self) -> None:
        """Force its entries to the disk."""
        os.fsync(self.descriptor)

    def sync_file(self, name: str) -> None:
        """Force a file in it to the disk."""
        descriptor = self.open(name, READ)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free(self) -> int:
        """Bytes that are free on its disk for us."""
        disk = os.fstatvfs(self.descriptor)
        return disk.f_bavail * disk.f_frsize

    def gone(self) -> bool:
        """Whether somebody has deleted it."""
        return os.fstat(self.descriptor).st_nlink == 0

    def enter(self) -> None:
        """Make it the working directory, so that `here` is short enough for a socket address."""
        os.fchdir(self.descriptor)

    def leave(self) -> None:
        """Work elsewhere again."""
        os.chdir("/")

    def here(self, name: str) -> str:
        """Path of a name in it for a process that has entered it."""
        return name

    def near(self, name: str) -> str:
        """A path of a name in it, short wherever the folder lies: sun_path holds 107 bytes."""
        through = f"/proc/self/fd/{self.descriptor}"
        return f"{through if os.path.isdir(through) else self._path()}/{name}"

    def _path(self) -> str:
        if hasattr(fcntl, "F_GETPATH"):
            held = fcntl.fcntl(self.descriptor, fcntl.F_GETPATH, bytes(1024))
            return os.fsdecode(held.rstrip(b"\0"))
        return "."

    def lock(self) -> bool:
        """Take its exclusive lock, until it is closed; False when another process has it."""
        return lock_file(self.descriptor)

    def locked(self) -> bool:
        """Whether another process has its lock. The look itself holds it for a moment."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        return False
