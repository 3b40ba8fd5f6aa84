"""Bytes for another process that must never be on a disk: a descriptor without a name."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from threading import Thread


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
