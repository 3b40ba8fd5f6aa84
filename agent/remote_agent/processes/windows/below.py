"""Files below a folder that belongs to a job (Windows): no link or junction is followed.

Jobs are the agent's own user there: nothing is reached that they could not reach themselves.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import os
import stat
from collections.abc import Iterator
from typing import Final

from remote_agent.processes.types import FileBelow, UnexpectedEntry
from remote_agent.processes.windows.files import READ, open_file

_REPARSE: Final = 0x400  # FILE_ATTRIBUTE_REPARSE_POINT


def files_below(home: str, folder: str, deepest: int) -> Iterator[FileBelow]:
    """Everything below a folder in `home`, in no order; folders, too. OSError when it cannot be
    opened; what cannot be opened below it says why."""
    yield from _below(os.path.join(home, folder), "", deepest)


def _below(folder: str, prefix: str, deepest: int) -> Iterator[FileBelow]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            try:
                found = entry.stat(follow_symlinks=False)
                if found.st_file_attributes & _REPARSE:
                    yield FileBelow(name, 0, "it is no plain file")
                elif stat.S_ISDIR(found.st_mode):
                    if not deepest:
                        yield FileBelow(name, 0, "it is too deep")
                        continue
                    yield FileBelow(name, 0, None)
                    yield from _below(entry.path, f"{name}/", deepest - 1)
                else:
                    yield FileBelow(name, found.st_size, "")
            except OSError as error:
                yield FileBelow(name, 0, error.strerror or "it cannot be opened")


def open_below(home: str, folder: str, name: str) -> int:
    """A descriptor of a plain file below a folder in `home`. OSError; UnexpectedEntry when it is
    something else."""
    path = os.path.join(home, folder)
    for part in name.split("/"):
        if part in ("", ".", "..") or ":" in part or "\\" in part:
            raise UnexpectedEntry(name, "it leads elsewhere")
        path = os.path.join(path, part)
        if os.lstat(path).st_file_attributes & _REPARSE:
            raise UnexpectedEntry(name, "it is no plain file")
    return open_file(path, READ)
