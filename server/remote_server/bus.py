"""Carries change sets from the store to all who depend on what they name. No I/O.

The store publishes one change set after each commit; whoever subscribed reads again what it needs.
Nobody else is called after a write. `LocalBus` reaches the subscribers of one process; a bus of
several servers needs no other interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from remote_server.domain.change_set import ChangeSet

Subscriber = Callable[[ChangeSet], None]
"""Hears of each commit, or of those that it is marked with (`hears`). It must not block, wait or
change what it is given."""
_MOST: Final = 256
"""Mixtures of changes for which it is remembered who hears of them."""


class Bus(Protocol):
    """Tells subscribers of commits."""

    def publish(self, changes: ChangeSet) -> None:
        """A commit has changed this."""

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have `subscriber` hear of every change set that is published from now on."""


class LocalBus:
    """The bus of one process: subscribers are called at once, in the order in which they came."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._hearing: dict[frozenset[str], list[Subscriber]] = {}
        self._log = structlog.get_logger("remote_server.bus")

    def publish(self, changes: ChangeSet) -> None:
        """Tell every subscriber that hears of such. The failure of one is written down and keeps it
        from nobody."""
        kinds = changes.kinds
        hearing = self._hearing.get(kinds)
        if hearing is None:
            hearing = self._find(kinds)
        for subscriber in hearing:
            try:
                subscriber(changes)
            except Exception:
                self._log.exception("a subscriber of commits failed")

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have `subscriber` hear of every change set from now on."""
        self._subscribers.append(subscriber)
        self._hearing.clear()

    def _find(self, kinds: frozenset[str]) -> list[Subscriber]:
        if len(self._hearing) >= _MOST:
            self._hearing.clear()
        found = self._hearing[kinds] = [
            subscriber
            for subscriber in self._subscribers
            if (wanted := getattr(subscriber, "kinds", None)) is None or kinds & wanted
        ]
        return found
