"""Tells the C library to keep the memory of freed frames. Changes this process's allocator only.

By glibc's defaults every frame of 256 KiB grows the heap and shrinks it again, and the kernel
clears its pages each time: a third of the server's work while a job floods it (mallopt(3)).
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
KEPT: Final = 16 * 1024 * 1024
"""Free bytes at the end of the heap that are not given back."""
OWN_PAGES: Final = 8 * 1024 * 1024
"""Blocks from this size on get pages of their own."""


def keep_freed_memory() -> bool:
    """Whether the C library understood; others than glibc do not, and need not."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    mallopt.restype = ctypes.c_int
    return bool(mallopt(_M_MMAP_THRESHOLD, OWN_PAGES)) & bool(mallopt(_M_TRIM_THRESHOLD, KEPT))
