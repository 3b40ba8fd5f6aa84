"""Lets through one log line of a kind in a while, and counts the rest. Pure: time is an argument.

What anybody can cause must not fill a disk: each kind of line is written at most once in an
interval, and then says how many like it were left out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

MOST_KINDS: Final = 1024
"""Kinds that are told apart; the one that was quiet for longest is forgotten first."""


class Throttle:
    """Decides whether a line of a kind may be written now."""

    def __init__(self, interval: float, most: int = MOST_KINDS) -> None:
        self._interval = interval
        self._most = most
        self._kinds: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def take(self, kind: Hashable, now: float) -> int | None:
        """How many lines of this kind were left out since the last one that was written, or None:
        this one is left out too. `now` in seconds of a clock that only grows."""
        until, left_out = self._kinds.get(kind, (now, 0))
        if now < until:
            self._kinds[kind] = (until, left_out + 1)
            return None
        self._kinds[kind] = (now + self._interval, 0)
        self._kinds.move_to_end(kind)
        if len(self._kinds) > self._most:
            self._kinds.popitem(last=False)
        return left_out
