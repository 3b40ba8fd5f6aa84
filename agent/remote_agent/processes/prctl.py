"""prctl(2) of Linux, for which Python has no function."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes


def prctl(option: int, value: int) -> bool:
    """Change something of this process; whether the kernel did.

    In a child between fork and exec only when it was called before: the first call loads ctypes.
    """
    return bool(_library().prctl(option, value, 0, 0, 0) == 0)


@cache
def _library() -> ctypes.CDLL:
    # An agent itself seldom calls it; each of its launchers does, before it forks shims.
    import ctypes

    return ctypes.CDLL(None)
