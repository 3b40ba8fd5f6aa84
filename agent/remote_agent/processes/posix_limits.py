"""Limits of this process and of what it starts: open files (POSIX, getrlimit(2))."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

_ENOUGH: Final = 1 << 16
"""Where the hard limit is unlimited or absurd, tables would be made for so many."""


def raise_descriptors() -> tuple[int, int]:
    """Let this process open as many files as it may; the limit before, and the one that holds now.

    What it starts gets the former one back (`start_detached`): programs that use select(2)
    count on it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft, soft
    with suppress(OSError, ValueError):  # macOS has a limit of its own below the hard one
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return soft, wanted
    return soft, soft


def lower_descriptors(soft: int) -> None:
    """Let this process, and what it starts, open no more than `soft` files; what it has open, it
    keeps. Nothing where that is not possible."""
    with suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def give_descriptors(pid: int, soft: int) -> None:
    """Set this limit of a process that was started just now; nothing where that is not possible."""
    with suppress(OSError, ValueError, AttributeError):
        hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
