"""How long to wait before a collector is asked again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LONGEST: Final = 60.0
"""Seconds, without the jitter."""


class Backoff:
    """The pause after failures: twice as long after each, up to LONGEST, and up to a quarter more
    by chance, so that many servers do not ask at the same moment."""

    def __init__(self, first: float, jitter: Callable[[], float]) -> None:
        """`first`: seconds after the first failure; `jitter`: a number from 0 to 1."""
        self._first = first
        self._jitter = jitter
        self._next = first
        self.pause = 0.0
        """Seconds to wait now; 0 after a success."""

    def result(self, good: bool) -> None:
        """How the last try went."""
        if good:
            self._next, self.pause = self._first, 0.0
        else:
            self.pause = self._next * (1 + self._jitter() / 4)
            self._next = min(self._next * 2, LONGEST)
