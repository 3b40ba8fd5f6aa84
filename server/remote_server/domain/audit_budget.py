"""How much of what others cause the audit takes: the first of a kind at once, then one entry a
minute that says how many there were. Pure: time is an argument.

Who keeps trying must neither fill the database nor hide among the many: kinds are told apart, and
what exceeds the budget of all kinds together is counted as one.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from remote_server.domain.audit import Entry
from remote_server.domain.model import Principal

WINDOW: Final = 60.0
"""Seconds in which entries like one that was written are counted."""
EXCESS: Final = Principal("", "several", "", "unknown")
"""Who did what exceeds the budget."""


@dataclass(slots=True)
class _Window:
    until: float
    last: Entry
    left_out: int = 0


class AuditBudget:
    """Decides what is written now, and counts the rest."""

    def __init__(self, most: int) -> None:
        self._most = most
        """Kinds that are told apart in one window: with their counts, twice as many entries."""
        self._windows: dict[Hashable, _Window] = {}

    def admit(self, kind: Hashable, entry: Entry, now: float) -> bool:
        """Whether this entry is to be written; if not, it is counted. `now` in seconds of a clock
        that only grows."""
        window = self._windows.get(kind)
        if window is not None and (now < window.until or window.left_out):
            # What was counted is told (`due`) before a new window begins.
            window.left_out += 1
            window.last = entry
            return False
        if window is None and len(self._windows) >= self._most:
            self.count(entry, now)
            return False
        self._windows[kind] = _Window(now + WINDOW, entry)
        return True

    def count(self, entry: Entry, now: float) -> None:
        """Count an entry for which there is no room, whoever caused it."""
        whole = self._windows.get(None)
        if whole is None:
            whole = self._windows[None] = _Window(now + WINDOW, entry)
        whole.left_out += entry.repeated or 1

    def due(self, now: float) -> list[Entry]:
        """Entries that tell what was counted in the windows that are over."""
        over = [(kind, window) for kind, window in self._windows.items() if window.until <= now]
        told = []
        for kind, window in over:
            del self._windows[kind]
            if window.left_out:
                told.append(_told(kind, window))
        return told


def _told(kind: Hashable, window: _Window) -> Entry:
    entry = window.last._replace(repeated=window.left_out)
    if kind is not None:
        return entry
    return entry._replace(by=EXCESS, action="audit.excess", kind="audit", subject="", detail={})
