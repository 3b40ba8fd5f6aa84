"""Standard streams that the caller closed: files opened later must not take their numbers.

    remote-server run >&- 2>&-

Without this, the database could become standard output, and a library's complaint a part of it.
Opens /dev/null.
"""

from __future__ import annotations

import os
import sys


def drop_output() -> None:
    """Nobody takes it any more: what is left must not fail again when Python flushes it at exit,
    which would end the program with 120."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)


def fill_closed_streams() -> list[int]:
    """Put /dev/null where standard streams are closed; their numbers. Call it before anything
    opens a file."""
    closed = []
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one, for those below are taken by now.
            os.open(os.devnull, os.O_RDWR)
            closed.append(number)
    # Python has set the closed ones to None.
    if 1 in closed:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - till the end
    if 2 in closed:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - till the end
    return closed
