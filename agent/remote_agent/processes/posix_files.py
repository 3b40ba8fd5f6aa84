"""Directories by their descriptors, locks and the few file calls that differ elsewhere (POSIX).

A folder is looked up once; everything in it is then named relative to its descriptor (openat(2)
and its like), so no later rename or path length matters. These calls are on every job's path.

A job that runs as the agent's own user can put anything at any of these names. So no link is
followed, nothing is waited for (a FIFO), and what is opened in a folder must be a plain file with
one name, of the folder's owner. What was only closed to its owner (`chmod 000`) is opened again.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from errno import EISDIR, ELOOP, ENXIO
from pathlib import Path
from typing import Final, TypeVar

from remote_agent.processes.entries import Entries
from remote_agent.processes.types import UnexpectedEntry

_SAFE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
READ: Final = os.O_RDONLY | _SAFE
NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE
GROW: Final = NEW | os.O_APPEND
REPLACE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFE
APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _SAFE
KEEP: Final = os.O_RDWR | os.O_CREAT | _SAFE
CHANGE: Final = os.O_RDWR | _SAFE
"""How a file is opened: to read; made, and not there before; the same, to be appended to; emptied
or made; appended to; as it is or made, for reading and writing; the same, only if it is there."""

_OWN: Final = stat.S_IFDIR | 0o700
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NAME_ONLY: Final = getattr(os, "O_PATH", None)
"""Opens what cannot be read (open(2)); Linux only."""
_T = TypeVar("_T")
_KINDS: Final = {
    stat.S_IFDIR: "it is a directory",
    stat.S_IFLNK: "it is a symbolic link",
    stat.S_IFIFO: "it is a FIFO",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}

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


write_at = os.pwrite
"""Write some bytes of a buffer at an offset of a file; how many."""


def unlinked(descriptor: int) -> bool:
    """Whether an open file has no name any more."""
    return os.fstat(descriptor).st_nlink == 0


def sync(path: Path | str) -> None:
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


def restrict_to_owner(folder: Path) -> None:
    """Keep others out of a folder that exists; its mode is given when it is made."""


def open_to_others(mode: int) -> bool:
    """Whether a file of this mode can be read or written by others than its owner."""
    return bool(mode & 0o077)


def name_problem(path: str) -> str:
    """Why a file of a job cannot have this relative path here; empty when it can."""
    return ""


def restore_access(name: str | Path, mode: int, folder: int | None = None) -> None:
    """Give the owner of a file or folder these permissions on it, whatever they are now.

    OSError when it is not ours, or a link.
    """
    if _NAME_ONLY is None:
        os.chmod(name, mode, dir_fd=folder, follow_symlinks=False)
        return
    held = os.open(name, _NAME_ONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if stat.S_ISLNK(os.fstat(held).st_mode):
            raise UnexpectedEntry(str(name), _KINDS[stat.S_IFLNK])
        os.chmod(f"/proc/self/fd/{held}", mode)
    finally:
        os.close(held)


class Folder(Entries):
    """An open directory. OSError when it cannot be opened.

    A link in its place is not followed, unless `follow` says so: for what people may move.
    """

    __slots__ = ("_self", "descriptor")

    def __init__(self, path: str | Path, follow: bool = False) -> None:
        flags = _FOLDER if follow else _FOLDER | os.O_NOFOLLOW
        try:
            self.descriptor = os.open(path, flags)
        except PermissionError:
            restore_access(path, 0o700)
            self.descriptor = os.open(path, flags)
        self._self: os.stat_result | None = None

    @property
    def _own(self) -> os.stat_result:
        """What it is, and whose: that stays."""
        if self._self is None:
            self._self = os.fstat(self.descriptor)
        return self._self

    def close(self) -> None:
        os.close(self.descriptor)

    def open(self, name: str, how: int) -> int:
        """A descriptor of a plain file in it, readable by its owner only when it is made.

        UnexpectedEntry when the name stands for anything else.
        """
        try:
            descriptor = os.open(name, how, 0o600, dir_fd=self.descriptor)
        except PermissionError:
            self._restore_access(name)
            descriptor = os.open(name, how, 0o600, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno in (EISDIR, ELOOP, ENXIO):
                raise self._odd(name, error) from None
            raise
        try:
            self._check(name, os.fstat(descriptor))
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _check(self, name: str, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise UnexpectedEntry(name, _KINDS.get(stat.S_IFMT(found.st_mode), "it is no file"))
        if found.st_nlink > 1:
            raise UnexpectedEntry(name, "it has a second name (a hard link)")
        # Not the user's own id: on a network disk root may be another one.
        if found.st_uid != self._own.st_uid:
            raise UnexpectedEntry(name, "it belongs to another user")

    def _odd(self, name: str, error: OSError) -> OSError:
        try:
            self._check(name, self.look(name))
        except OSError as found:
            return found
        return error

    def _restore_access(self, name: str) -> None:
        """Open to ourselves what a job has closed: this folder, and a file in it."""
        os.fchmod(self.descriptor, 0o700)
        with suppress(FileNotFoundError):
            restore_access(name, 0o600, self.descriptor)

    def _do(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except PermissionError:
            os.fchmod(self.descriptor, 0o700)
            return call()

    def touch(self, name: str) -> None:
        """Have a plain file in it be changed now. UnexpectedEntry when it is none."""
        self._check(name, self.look(name))
        os.utime(name, dir_fd=self.descriptor, follow_symlinks=False)

    def length(self, name: str) -> int:
        """Bytes in a plain file in it. UnexpectedEntry when it is none."""
        found = self.look(name)
        self._check(name, found)
        return found.st_size

    def rename(self, name: str, other: str) -> None:
        here = self.descriptor
        try:
            os.rename(name, other, src_dir_fd=here, dst_dir_fd=here)
        except PermissionError:
            os.fchmod(here, 0o700)
            os.rename(name, other, src_dir_fd=here, dst_dir_fd=here)

    def move(self, name: str, path: str) -> None:
        """Give a file in it a path elsewhere on its disk, in place of what has it."""
        os.rename(name, path, src_dir_fd=self.descriptor)

    def remove(self, name: str) -> None:
        self._do(lambda: os.unlink(name, dir_fd=self.descriptor))

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

    def look(self, name: str) -> os.stat_result:
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except PermissionError:
            os.fchmod(self.descriptor, 0o700)
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def names(self) -> list[str]:
        try:
            return os.listdir(self.descriptor)
        except PermissionError:
            os.fchmod(self.descriptor, 0o700)
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

    def is_at(self, path: str | Path) -> bool:
        """Whether it is what has this path now: others may have moved it, and put something else
        there."""
        try:
            found = os.stat(path, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(found, self._own)

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
