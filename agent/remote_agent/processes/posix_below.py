"""Files below a folder that belongs to a job, looked up without trusting anything in it (POSIX).

Each name is opened relative to the folder before it (openat(2)), and no link is followed: whatever
the job's user exchanges meanwhile, nothing outside of the folder is reached.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from remote_agent.processes.types import FileBelow, UnexpectedEntry

_SAFE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER: Final = _SAFE | os.O_DIRECTORY


def files_below(home: str, folder: str, deepest: int) -> Iterator[FileBelow]:
    """Everything below a folder in `home`, in no order; folders, too. OSError when it cannot be
    opened; what cannot be opened below it says why."""
    start = os.open(home, _FOLDER)
    try:
        first = os.open(folder, _FOLDER, dir_fd=start)
    finally:
        os.close(start)
    yield from _below(first, "", deepest)


def _below(folder: int, prefix: str, deepest: int) -> Iterator[FileBelow]:
    """Those of an open folder, which is closed."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if not deepest:
                            yield FileBelow(name, 0, "it is too deep")
                            continue
                        yield FileBelow(name, 0, None)
                        inner = os.open(entry.name, _FOLDER, dir_fd=folder)
                        yield from _below(inner, f"{name}/", deepest - 1)
                    elif entry.is_file(follow_symlinks=False):
                        yield FileBelow(name, entry.stat(follow_symlinks=False).st_size, "")
                    else:
                        yield FileBelow(name, 0, "it is no plain file")
                except OSError as error:
                    yield FileBelow(name, 0, error.strerror or "it cannot be opened")
    finally:
        os.close(folder)


def open_below(home: str, folder: str, name: str) -> int:
    """A descriptor of a plain file below a folder in `home`, which belongs to the folder's owner.

    OSError; UnexpectedEntry when it is something else.
    """
    *above, last = parts = name.split("/")
    if {"", ".", ".."}.intersection(parts):
        raise UnexpectedEntry(name, "it leads elsewhere")
    with ExitStack() as opened:
        here = os.open(home, _FOLDER)
        opened.callback(os.close, here)
        owner = -1
        for part in (folder, *above):
            here = os.open(part, _FOLDER, dir_fd=here)
            opened.callback(os.close, here)
            if owner < 0:
                owner = os.fstat(here).st_uid
        descriptor = os.open(last, _SAFE, dir_fd=here)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != owner:
            os.close(descriptor)
            raise UnexpectedEntry(name, "it is no plain file of the job's user")
        return descriptor
