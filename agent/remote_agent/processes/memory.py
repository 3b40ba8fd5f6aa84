"""Memory of this process, and bytes for another that must never be on a disk: a descriptor without
a name."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from threading import Thread
from typing import Final

_LARGE: Final = 1 << 20
"""More than any block that output passes through."""


def keep_freed_memory(size: int = _LARGE) -> None:
    """Have blocks up to this size be used again that were freed. Costs two system calls.

    The C library gives them back to the kernel, and each next one comes as empty pages, which costs
    as much as filling it does. glibc stops that for sizes of which it has seen a block freed
    (mallopt(3), M_MMAP_THRESHOLD), and keeps up to twice as much for good; no other library minds.
    """
    bytes(size)


def memory_file(data: bytes) -> int:
    """A descriptor from which whoever gets it reads these bytes, once. The caller closes it.

    On Linux it is a file in memory (memfd_create(2)); elsewhere a pipe, which a thread fills.
    """
    if sys.platform != "linux":
        source, end = os.pipe()
        Thread(target=_write, args=(end, data), daemon=True).start()
        return source
    file = os.memfd_create("remote-agent", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
        os.lseek(file, 0, os.SEEK_SET)
    except OSError:
        os.close(file)
        raise
    return file


def _write(end: int, data: bytes) -> None:
    try:
        with suppress(OSError):  # whoever should have read it has died
            view = memoryview(data)
            while view:
                view = view[os.write(end, view) :]
    finally:
        os.close(end)
