"""Where small files can be that never reach a disk: a file system in memory. Looks at mounts."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

_SHARED: Final = "/dev/shm"
_IN_MEMORY: Final = frozenset(("tmpfs", "ramfs"))
_MOUNTS: Final = "/proc/self/mountinfo"


def memory_folder(environ: Mapping[str, str], for_others: bool) -> str | None:
    """A folder in which this user can make files that are in memory only; with `for_others` jobs of
    other users can pass it, too. None when this system has none."""
    if sys.platform != "linux":
        return None
    folders = [_SHARED]
    own = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(own) and not for_others:
        folders.append(own)
    for folder in folders:
        if os.access(folder, os.W_OK | os.X_OK) and _kind_of(folder) in _IN_MEMORY:
            return folder
    return None


def _kind_of(folder: str) -> str:
    """The type of the file system that a folder is on (proc(5), mountinfo); empty: not known."""
    if sys.platform != "linux":
        return ""
    try:
        device = os.stat(folder).st_dev
        with open(_MOUNTS, encoding="utf-8", errors="replace") as mounts:
            wanted = f"{os.major(device)}:{os.minor(device)}"
            for line in mounts:
                before, _, after = line.partition(" - ")
                if before.split()[2:3] == [wanted]:
                    return after.split()[0]
    except (OSError, IndexError):
        pass
    return ""
