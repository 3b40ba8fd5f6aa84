"""Who hears of what a database does, as any of them tells it. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from remote_server.domain.change_set import ChangeSet


class Listeners:
    """Who hears of commits and failures, in the event loop."""

    def __init__(self) -> None:
        self._commits: list[Callable[[ChangeSet], None]] = []
        self._told: list[Callable[[], None]] = []
        self._failures: list[Callable[[], None]] = []
        self._reconnects: list[Callable[[], None]] = []
        self._losses: list[Callable[[Exception], None]] = []

    def on_commit(self, listener: Callable[[ChangeSet], None]) -> None:
        """Call `listener` after each commit that changed something worth telling."""
        self._commits.append(listener)

    def on_told(self, listener: Callable[[], None]) -> None:
        """Call `listener` once those were told of results who wish to be the first (`written`,
        `heard`), before the loop is held, or others go on."""
        self._told.append(listener)

    def on_failure(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a commit failed: what it wrote may or may not be there."""
        self._failures.append(listener)

    def on_reconnect(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the database is there again after it was gone: it may have lost
        what was committed `relaxed`, as in a power cut."""
        self._reconnects.append(listener)

    def on_loss(self, listener: Callable[[Exception], None]) -> None:
        """Call `listener` when another server works with the database: this one must end."""
        self._losses.append(listener)

    def published(self, changes: ChangeSet) -> None:
        """A commit is done."""
        for listener in self._commits:
            listener(changes)

    def told(self) -> None:
        """Those who wish to be the first were told of results."""
        for listener in self._told:
            listener()

    def failed(self) -> None:
        """A commit failed."""
        for listener in self._failures:
            listener()

    def reconnected(self) -> None:
        """The database was gone and is there again."""
        for listener in self._reconnects:
            listener()

    def lost(self, error: Exception) -> None:
        """The right to write is gone for good."""
        for listener in self._losses:
            listener(error)
