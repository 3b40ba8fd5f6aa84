"""How often open pages are drawn again: rarer, the more of them are open. Pure.

A page that is drawn costs some 10 to 30 ms of the server's only loop, which dispatches, too. So all
pages together are drawn twice a second at the most, whoever looks, until each has reached the
longest pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SHORTEST: Final = 0.5
"""Seconds between two drawings of the only page that is open, however much happens."""
LONGEST: Final = 10.0
"""Seconds between two drawings of one of many pages: older than that none gets."""


class Pace:
    """Counts the open pages. Not thread-safe."""

    def __init__(self) -> None:
        self._open = 0

    @contextmanager
    def page(self) -> Iterator[None]:
        """A page is open."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    @property
    def pause(self) -> float:
        """Seconds between two drawings of each page."""
        return min(LONGEST, max(1, self._open) * SHORTEST)
