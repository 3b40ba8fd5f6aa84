"""What happened in the last hours, minute by minute: counted at each commit, kept in memory.

The database has no index over the ends of jobs, and one would cost every job; a count costs
nothing. It begins with the server: pages say since when.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from remote_protocol.states import JobState
from remote_server.domain.change_set import ChangeSet, hears

MINUTE: Final = 60.0
KEPT: Final = 6 * 60
"""Minutes that are kept."""


@dataclass(slots=True)
class Minute:
    """What happened in one minute."""

    ended: int = 0
    failed: int = 0
    queued: int = 0
    """How the number of waiting jobs changed."""


class History:
    """The last hours."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.since = now()
        """When the counting began (Unix seconds)."""
        self._minutes: dict[int, Minute] = {}

    @hears("state_counts")
    def committed(self, changes: ChangeSet) -> None:
        """Count what a commit changed."""
        if not changes.state_counts:
            return
        minute = self._minute()
        minute.ended += sum(changes.end_counts.values())
        minute.failed += sum(changes.failures.values())
        for (_, state), change in changes.state_counts.items():
            if state == JobState.QUEUED.value:
                minute.queued += change

    def last(self, count: int) -> list[Minute]:
        """The last `count` minutes, the present one last; nothing happened in those before the
        counting began."""
        newest = int(self._now() / MINUTE)
        return [
            self._minutes.get(number, Minute()) for number in range(newest - count + 1, newest + 1)
        ]

    def _minute(self) -> Minute:
        number = int(self._now() / MINUTE)
        found = self._minutes.get(number)
        if found is None:
            found = self._minutes[number] = Minute()
            for old in [other for other in self._minutes if other <= number - KEPT]:
                del self._minutes[old]
        return found
