"""What a user without powers meets, in tests that run as root: capabilities given up (Linux).

Root without CAP_DAC_OVERRIDE obeys the modes of files as everybody does.
"""

from __future__ import annotations

import ctypes
import os
import traceback
from collections.abc import Callable

_PR_CAPBSET_DROP = 24
_VERSION_3 = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)


def give_up_powers() -> None:
    """Drop every capability of this process, and of all that it starts."""
    if os.geteuid():
        return
    for number in range(64):
        _LIBC.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _LIBC.capset(ctypes.byref(header), ctypes.byref(nothing)):
        raise OSError(ctypes.get_errno(), "capset")


def powerless(call: Callable[[], None]) -> None:
    """Run something in a child without powers; AssertionError, with its traceback, if it fails."""

    def without() -> None:
        give_up_powers()
        call()

    in_child(without)


def in_child(call: Callable[[], None]) -> None:
    """Run something in a child; AssertionError, with its traceback, if it fails."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            call()
        except BaseException:
            os.write(writing, traceback.format_exc().encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    assert not said, said
