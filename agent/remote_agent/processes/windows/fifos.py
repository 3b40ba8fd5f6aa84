"""There are no FIFOs in the file systems of Windows. Touches nothing."""

from __future__ import annotations

from errno import ENOSYS
from typing import Final

HAS_FIFOS: Final = False
"""Whether this system has them."""


def make_fifo(path: str) -> None:
    """OSError."""
    raise OSError(ENOSYS, "Windows has no FIFOs in its file systems", path)


def open_fifo(path: str) -> int:
    """OSError."""
    raise OSError(ENOSYS, "Windows has no FIFOs in its file systems", path)
