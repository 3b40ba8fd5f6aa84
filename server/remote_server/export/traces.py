"""Which jobs ended, until their spans are sent: bounded, the oldest go first when there are more.

Filled by commits and read by the export's loop; without an export nobody fills it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from remote_protocol.metrics import Family, single
from remote_protocol.trace import Trace
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Job
from remote_server.errors import NotFound
from remote_server.export.spans import Span, spans_of
from remote_server.store import Store

MOST: Final = 10_000
BATCH: Final = 200
"""Jobs whose spans are sent at a time."""


class EndedJobs:
    """Those whose spans have not been sent."""

    def __init__(
        self, store: Store, most: int = MOST, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._now = now
        self._waiting: deque[tuple[str, float]] = deque()
        self._most = most
        self.sent = 0
        self.dropped = 0
        """Jobs whose spans nobody got: there were too many, or they could not be sent."""

    def __len__(self) -> int:
        return len(self._waiting)

    def committed(self, changes: ChangeSet) -> None:
        """Some jobs ended."""
        if not changes.ended:
            return
        now = self._now()
        self._waiting.extend((job, now) for job in changes.ended)
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self.dropped += 1

    async def take(self) -> list[tuple[Trace, Sequence[Span]]]:
        """The spans of some of them; of jobs that are to be recorded, as whoever submitted them
        said."""
        found: list[tuple[Trace, Sequence[Span]]] = []
        while self._waiting and len(found) < BATCH:
            job, at = self._waiting[0]
            try:
                row: Job | None = await self._store.job(job)
                attempts = await self._store.attempts_of(job)
            except NotFound:
                row = None
            # While it was read, those that are too many may have gone.
            with suppress(IndexError):
                if self._waiting[0][0] == job:
                    self._waiting.popleft()
            if row is None:
                continue
            trace, spans = spans_of(row, attempts, at)
            if int(trace.flags, 16) & 1:
                found.append((trace, spans))
        return found

    def families(self) -> list[Family]:
        """What became of them."""
        return [
            single(
                "remote_traces_sent_total", "counter", "Jobs whose spans were sent.", self.sent
            ),
            single(
                "remote_traces_dropped_total", "counter",
                "Jobs whose spans could not be sent, or were too many to wait.", self.dropped,
            ),
        ]  # fmt: skip
