"""FIFOs in the file system: how a job's programs say something to its shim by a plain path (POSIX).

What is written to one is in the kernel's memory until it is read, and never on a disk (fifo(7)).
"""

from __future__ import annotations

import os
import stat
from typing import Final

from remote_agent.processes.types import UnexpectedEntry

HAS_FIFOS: Final = True
"""Whether this system has them."""


def make_fifo(path: str) -> None:
    """Make one that its owner only can write to."""
    os.mkfifo(path, 0o600)


def open_fifo(path: str) -> int:
    """A descriptor of one, which is never waited for and has no end: it is open for writing, too.

    UnexpectedEntry when the path stands for anything else, other OSError when it cannot be opened.
    """
    flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnexpectedEntry(path, "it is no FIFO")
    return descriptor
