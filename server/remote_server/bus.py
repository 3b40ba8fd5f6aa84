"""Carries change sets from the store to all who depend on what they name. No I/O.

The store publishes one change set after each commit; whoever subscribed reads again what it needs.
Nobody else is called after a write. `LocalBus` reaches the subscribers of one process; a bus of
several servers needs no other interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from remote_server.domain.change_set import ChangeSet

Subscriber = Callable[[ChangeSet], None]
"""Hears of each commit. It must not block, wait or change what it is given."""


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
        self._log = structlog.get_logger("remote_server.bus")

    def publish(self, changes: ChangeSet) -> None:
        """Tell every subscriber. The failure of one is written down and keeps it from nobody."""
        for subscriber in self._subscribers:
            try:
                subscriber(changes)
            except Exception:
                self._log.exception("a subscriber of commits failed")

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have `subscriber` hear of every change set from now on."""
        self._subscribers.append(subscriber)
