"""Directories by their paths, lock files and shared opening (Windows).

Every file is opened so that others may read, rename and delete it meanwhile, as on POSIX. What a
virus scanner or a reader without that courtesy holds is tried again for a moment.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes
import io
import msvcrt
import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from remote_agent.processes.entries import Entries
from remote_agent.processes.types import UnexpectedEntry
from remote_agent.processes.windows import api

READ: Final = os.O_RDONLY | os.O_BINARY
NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_BINARY
GROW: Final = NEW | os.O_APPEND
REPLACE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_BINARY
APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_BINARY
KEEP: Final = os.O_RDWR | os.O_CREAT | os.O_BINARY
CHANGE: Final = os.O_RDWR | os.O_BINARY
"""How a file is opened: to read; made, and not there before; the same, to be appended to; emptied
or made; appended to; as it is, for reading and writing."""

LOCK: Final = "lock"
"""The file in a folder whose lock is that of the folder."""
_WAYS: Final = {
    # GENERIC_READ, GENERIC_WRITE, FILE_APPEND_DATA | SYNCHRONIZE | FILE_READ_ATTRIBUTES;
    # OPEN_EXISTING, CREATE_NEW, CREATE_ALWAYS, OPEN_ALWAYS.
    READ: (0x8000_0000, 3),
    NEW: (0x4000_0000, 1),
    GROW: (0x0010_0084, 1),
    REPLACE: (0x4000_0000, 2),
    APPEND: (0x0010_0084, 4),
    KEEP: (0xC000_0000, 4),
    CHANGE: (0xC000_0000, 3),
}
_SHARE_ALL: Final = 7
_NORMAL: Final = 0x80
_INVALID: Final = ctypes.c_void_p(-1).value
_STANDARD_INFO: Final = 1
_FAR: Final = 0x7FFF_FFF0
"""Offset of the byte that is locked: locks are mandatory here, and the text stays readable."""
_HELD: Final = (5, 32, 33)
"""ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION: pass when somebody closes."""
_MAX_RETRY: Final = 0.5
"""Seconds for which what somebody holds open is tried again."""
_PAUSE: Final = 0.01
_OWNER_ONLY: Final = "D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
"""Protected, inherited by all below: full access for the owner, the system and administrators."""
_DACL: Final = 0x8000_0004
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?")


def open_file(path: str | Path, how: int, mode: int = 0o600) -> int:
    """A descriptor of a file that others may rename and delete meanwhile; `mode` means nothing
    here: the folder's access list is inherited."""
    access, disposition = _WAYS[how]
    handle = api.create_file(str(path), access, _SHARE_ALL, None, disposition, _NORMAL, None)
    if handle == _INVALID:
        raise api.failure(ctypes.get_last_error(), str(path))
    return msvcrt.open_osfhandle(handle, how & ~os.O_CREAT)


def rename(source: str | Path, target: str | Path) -> None:
    """Give a file or a folder another name, in place of what has it."""
    deadline = time.monotonic() + _MAX_RETRY
    while True:
        try:
            os.replace(source, target)
        except OSError as error:
            if error.winerror not in _HELD or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return


def write_some(descriptor: int, buffers: list[memoryview]) -> int:
    """Write some bytes of these buffers at the end of an appended file; how many."""
    return os.write(descriptor, buffers[0] if len(buffers) == 1 else b"".join(buffers))


sync_data = os.fsync
"""Force a file's content to the disk."""


def set_mode(descriptor: int, mode: int) -> None:
    """Nothing: files have access lists here, and what is executable says its name."""


def read_at(descriptor: int, view: memoryview, offset: int) -> int:
    """Fill `view` from `offset` of a file on; how many bytes there were."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    with io.FileIO(descriptor, closefd=False) as file:
        return file.readinto(view) or 0


def write_at(descriptor: int, data: memoryview, offset: int) -> int:
    """Write some bytes of a buffer at an offset of a file; how many."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, data)


def unlinked(descriptor: int) -> bool:
    """Whether an open file has no name any more."""
    info = api.StandardInfo()
    handle = msvcrt.get_osfhandle(descriptor)
    api.check(api.file_information(handle, _STANDARD_INFO, ctypes.byref(info), ctypes.sizeof(info)))
    return bool(info.delete_pending) or not info.links


def sync(path: Path | str) -> None:
    """Force a file to the disk. Folders cannot be: NTFS keeps a journal of their entries."""
    if os.path.isdir(path):
        return
    descriptor = open_file(path, KEEP)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_file(descriptor: int) -> bool:
    """Take the exclusive lock of an open file, until it is closed; False when another has it."""
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return True


def restrict_to_owner(folder: Path) -> None:
    """Keep others out of a folder and of all that is made in it. OSError when that fails."""
    set_access(folder, _OWNER_ONLY)


def set_access(folder: Path, entries: str) -> None:
    """Give a folder an access list, as a security descriptor (SDDL) writes it. OSError."""
    descriptor = ctypes.c_void_p()
    api.check(api.parse_sddl(entries, 1, ctypes.byref(descriptor), None), str(folder))
    try:
        api.check(api.set_file_security(str(folder), _DACL, descriptor), str(folder))
    finally:
        api.local_free(descriptor)


def open_to_others(mode: int) -> bool:
    """Modes say nothing here; `restrict_to_owner` has seen to it."""
    return False


def name_problem(path: str) -> str:
    """Why a file of a job cannot have this relative path here; empty when it can."""
    for part in re.split(r"[/\\]", path):
        if _RESERVED.fullmatch(part):
            return f"{part!r} is the name of a device on Windows"
        if part.strip(".") and part[-1] in ". ":
            return f"Windows drops the end of {part!r}"
        if re.search(r'[<>:"|?*\x00-\x1f]', part):
            return f"{part!r} holds a character that Windows does not allow in names"
    return ""


def restore_access(name: str | Path, mode: int, folder: int | None = None) -> None:
    """Nothing: access lists are inherited from the state directory."""


def remove_tree(path: Path) -> None:
    """Delete a file or a folder with all in it, read-only files too; nothing for what is not there.

    OSError for what cannot be deleted; what can be is gone then.
    """
    failed: list[OSError] = []

    def again(remove: Callable[[str], object], name: str, why: Any) -> None:
        try:
            os.chmod(name, stat.S_IWRITE)
            remove(name)
        except FileNotFoundError:
            return
        except OSError as error:
            failed.append(error)

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=again)
    else:
        path.unlink(missing_ok=True)
    if failed:
        raise failed[0]


class Folder(Entries):
    """A directory by its path. OSError when it is none; a link to one is followed with `follow`."""

    __slots__ = ("_lock", "path")

    def __init__(self, path: str | Path, follow: bool = False) -> None:
        self.path = os.path.abspath(path)
        self._lock = -1
        if not os.path.isdir(self.path) or (not follow and os.path.islink(self.path)):
            os.stat(self.path)
            raise NotADirectoryError(20, "it is no directory", self.path)

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def open(self, name: str, how: int) -> int:
        """A descriptor of a file in it. UnexpectedEntry when the name stands for a folder."""
        try:
            return open_file(self.here(name), how)
        except PermissionError:
            if os.path.isdir(self.here(name)):
                raise UnexpectedEntry(name, "it is a directory") from None
            raise

    def is_at(self, path: str | Path) -> bool:
        """Whether this is its path: it is known by nothing else."""
        return os.path.abspath(path) == self.path

    def touch(self, name: str) -> None:
        """Have a file in it be changed now."""
        os.utime(self.here(name))

    def length(self, name: str) -> int:
        """Bytes in a file in it."""
        return self.look(name).st_size

    def rename(self, name: str, other: str) -> None:
        rename(self.here(name), self.here(other))

    def move(self, name: str, path: str) -> None:
        """Give a file in it a path elsewhere on its disk, in place of what has it."""
        rename(self.here(name), path)

    def remove(self, name: str) -> None:
        os.unlink(self.here(name))

    def untouched(self, name: str) -> bool:
        """False: what access lists say of a folder is not looked into."""
        return False

    def look(self, name: str) -> os.stat_result:
        return os.stat(self.here(name), follow_symlinks=False)

    def names(self) -> list[str]:
        return os.listdir(self.path)

    def sync(self) -> None:
        """Nothing to do: NTFS keeps a journal of its entries."""

    def sync_file(self, name: str) -> None:
        """Force a file in it to the disk."""
        if not self.exists(name):
            raise FileNotFoundError(2, "there is no such file", self.here(name))
        sync(Path(self.here(name)))

    def free(self) -> int:
        """Bytes that are free on its disk for us."""
        free = ctypes.c_uint64()
        api.check(api.disk_free(self.path, ctypes.byref(free), None, None), self.path)
        return free.value

    def gone(self) -> bool:
        """Whether somebody has deleted it."""
        return not os.path.isdir(self.path)

    def enter(self) -> None:
        """Nothing: a working directory could not be renamed, and no path is too long here."""

    def leave(self) -> None:
        """Nothing, as `enter`."""

    def here(self, name: str) -> str:
        """Path of a name in it."""
        return os.path.normpath(os.path.join(self.path, name))

    near = here

    def lock(self) -> bool:
        """Take its exclusive lock, until it is closed; False when another process has it."""
        lock = self.open(LOCK, KEEP)
        if not lock_file(lock):
            os.close(lock)
            return False
        self._lock = lock
        return True

    def locked(self) -> bool:
        """Whether another process has its lock. The look itself holds it for a moment."""
        try:
            lock = self.open(LOCK, READ)
        except FileNotFoundError:
            return False
        try:
            return not lock_file(lock)
        finally:
            os.close(lock)
