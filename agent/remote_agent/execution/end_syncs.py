"""Forces ends to this host's disk that the server has not settled.

In threads, by the journal: behind the log of a flood that takes a second or more, in which the
output of all other jobs would wait.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from remote_agent.journal import Journal
from remote_protocol.attempt_id import AttemptId

log = structlog.get_logger("runner")

SYNC_AFTER: Final = 1.0
"""Seconds after which an end that the server has not settled is forced to this host's disk."""


class EndSyncs:
    """The ends that may be in memory only."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._unsynced: dict[AttemptId, float] = {}
        """With the time they were seen."""
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether ends are being forced to the disk now."""
        return self._task is not None

    def seen(self, key: AttemptId) -> None:
        """The attempt has ended, or had before this agent began."""
        self._unsynced[key] = asyncio.get_running_loop().time()

    def settled(self, key: AttemptId) -> None:
        """The server has its end."""
        self._unsynced.pop(key, None)

    def tick(self) -> None:
        """About once a second: force those to the disk that have waited long enough."""
        now = asyncio.get_running_loop().time()
        due = [key for key, at in self._unsynced.items() if now - at >= SYNC_AFTER]
        if due and self._task is None:
            self._task = asyncio.ensure_future(self._force(due))
            self._task.add_done_callback(self._forced)

    async def _force(self, due: list[AttemptId]) -> None:
        for key in due:
            if key not in self._unsynced:
                continue  # settled meanwhile
            try:
                await asyncio.to_thread(self._journal.sync, key)
            except OSError as error:
                log.error(
                    "the end of an attempt cannot be forced to the disk; trying again",
                    attempt=str(key),
                    reason=error.strerror,
                )
                return
            self.settled(key)

    def _forced(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.result()  # an error that nobody foresaw is told by the loop
