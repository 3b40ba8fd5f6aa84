"""Files put into folders that belong to a job (Windows): no link or junction is followed.

Jobs are the agent's own user there: nothing is reached that they could not reach themselves.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from remote_agent.processes.types import UnexpectedEntry

_REPARSE: Final = 0x400  # FILE_ATTRIBUTE_REPARSE_POINT
_PIECE: Final = 1 << 20


def put_below(
    home: str, parts: Sequence[str], source: int, mode: int, owner: tuple[int, int] | None
) -> None:
    """Copy an open file to a place below `home`, in place of what is there; folders on the way are
    made. `mode` and `owner` mean nothing here. OSError."""
    path = home
    for part in parts[:-1]:
        path = os.path.join(path, part)
        with suppress(FileExistsError):
            os.mkdir(path)
        if os.lstat(path).st_file_attributes & _REPARSE:
            raise UnexpectedEntry(path, "it is no folder")
    path = os.path.join(path, parts[-1])
    with suppress(FileNotFoundError):
        os.unlink(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_BINARY | os.O_NOINHERIT
    target = os.open(path, flags)
    try:
        os.lseek(source, 0, os.SEEK_SET)
        while piece := os.read(source, _PIECE):
            view = memoryview(piece)
            while view:
                view = view[os.write(target, view) :]
    finally:
        os.close(target)
