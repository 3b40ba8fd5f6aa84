"""Which spans are to be sent: of jobs that were submitted, and of jobs that ended. Bounded: where
there are too many, the oldest go first.

Filled by commits and read by the export's loop; without an export there is none.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from remote_protocol.metrics import Family, single
from remote_protocol.trace import Trace, trace_of
from remote_server.domain.change_set import ChangeSet, Submitted, hears
from remote_server.domain.model import Job
from remote_server.errors import NotFound
from remote_server.export.spans import Span, spans_of, submit_span
from remote_server.store import Store

MOST: Final = 10_000
BATCH: Final = 200
"""Jobs whose spans are sent at a time."""
Item = tuple[Trace, Sequence[Span]]


class PendingSpans:
    """Those that have not been sent, as the jobs that they are of."""

    def __init__(
        self, store: Store, most: int = MOST, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._now = now
        self._waiting: deque[tuple[Submitted | str, float]] = deque()
        """Jobs that were submitted, and ids of jobs that ended, each with when (Unix seconds)."""
        self._most = most
        self.sent = 0
        self.dropped = 0
        """Those that nobody got: there were too many, or they could not be sent."""

    def __len__(self) -> int:
        return len(self._waiting)

    @hears("ended", "submitted")
    def committed(self, changes: ChangeSet) -> None:
        """Some jobs were submitted or ended."""
        if not changes.ended and not changes.submitted:
            return
        now = self._now()
        self._waiting.extend((job, now) for job in changes.submitted)
        self._waiting.extend((job, now) for job in changes.ended)
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self.dropped += 1

    async def take(self) -> list[Item]:
        """The spans of some of them, which wait no longer. Left out are those of jobs that whoever
        submitted them does not want to be recorded."""
        found: list[Item] = []
        while self._waiting and len(found) < BATCH:
            first = self._waiting[0]
            made = await self._made(*first)
            # While it was read, those that are too many may have gone, this one among them.
            with suppress(IndexError):
                if self._waiting[0] is first:
                    self._waiting.popleft()
                else:
                    continue
            if made is not None and int(made[0].flags, 16) & 1:
                found.append(made)
        return found

    async def _made(self, what: Submitted | str, at: float) -> Item | None:
        if isinstance(what, Submitted):
            trace = trace_of(what.job, what.traceparent)
            return trace, [submit_span(what.job, what.created_at, at)]
        try:
            row: Job = await self._store.job(what)
            attempts = await self._store.attempts_of(what)
        except NotFound:
            return None
        return spans_of(row, attempts, at)

    def families(self) -> list[Family]:
        """What became of them."""
        return [
            single(
                "remote_spans_sent_total", "counter",
                "Submissions and ends of jobs whose spans were sent.", self.sent,
            ),
            single(
                "remote_spans_dropped_total", "counter",
                "Those whose spans could not be sent, or were too many to wait.", self.dropped,
            ),
            single(
                "remote_spans_waiting", "gauge",
                "Those whose spans are to be sent.", len(self),
            ),
        ]  # fmt: skip
