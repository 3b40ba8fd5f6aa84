"""Files put into folders that belong to a job, without trusting anything in them (POSIX).

Each folder is opened relative to the one before it (openat(2)), no link is followed, and the file
is a new one: whatever the job's user exchanges meanwhile, nothing outside of the folder is
reached.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE: Final = 1 << 20
_UNABLE: Final = frozenset({errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM})
"""What the kernel says where it cannot copy by itself (copy_file_range(2))."""


def put_below(
    home: str, parts: Sequence[str], source: int, mode: int, owner: tuple[int, int] | None
) -> None:
    """Copy an open file to a place below `home`, in place of what is there; folders on the way are
    made. `owner`: user and group of what is made; None: ours. OSError."""
    *above, last = parts
    with ExitStack() as opened:
        here = os.open(home, _FOLDER)
        opened.callback(os.close, here)
        for part in above:
            made = False
            with suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=here)
                made = True
            here = os.open(part, _FOLDER, dir_fd=here)
            opened.callback(os.close, here)
            if made and owner is not None:
                os.fchown(here, *owner)
        with suppress(FileNotFoundError):
            os.unlink(last, dir_fd=here)
        target = os.open(last, _NEW, 0o600, dir_fd=here)
        opened.callback(os.close, target)
        copy(source, target)
        if owner is not None:
            os.fchown(target, *owner)
        os.fchmod(target, mode)


def copy(source: int, target: int) -> None:
    """Copy all of an open file into an empty one: by sharing its blocks where the file system can,
    so that neither changes with the other. OSError."""
    by_kernel = getattr(os, "copy_file_range", None)
    offset = 0
    while by_kernel is not None:
        try:
            size = by_kernel(source, target, 1 << 30, offset, offset)
        except OSError as error:
            if error.errno not in _UNABLE:
                raise
            break
        if not size:
            break
        offset += size
    while piece := os.pread(source, _PIECE, offset):
        view = memoryview(piece)
        while view:
            size = os.pwrite(target, view, offset)
            view, offset = view[size:], offset + size
