"""Writes into the audit what no transaction of its own tells: refusals, links that ended. It also
decides what others can cause as often as they like is still written (`AuditBudget`).

Nobody waits for it: a refusal is answered at once, whatever the database does. Touches the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Final

import structlog

from remote_server.domain.audit import Entry
from remote_server.domain.audit_budget import AuditBudget
from remote_server.errors import ServerError
from remote_server.store import Store

EVERY: Final = 1.0
"""Seconds between two looks at what is to be written."""
PAUSE: Final = 5.0
"""Seconds after a failure of the database."""
MOST_WAITING: Final = 2000
"""Entries that wait for the database; what comes then is counted."""
_MOST_AT_ONCE: Final = 200
_log = structlog.get_logger("remote_server.audit")


class AuditTrail:
    """What waits to be written, and the budget of it. `run` is its loop."""

    def __init__(self, store: Store, clock: Callable[[], float], most: int) -> None:
        self._store = store
        self._clock = clock
        """Seconds that only grow."""
        self._budget = AuditBudget(most)
        self._waiting: list[Entry] = []
        self._writing = asyncio.Lock()

    def admits(self, kind: Hashable, entry: Entry) -> bool:
        """Whether an entry may be written now, by whoever asks, with what it tells; if not, it is
        counted among those of its kind."""
        return self._budget.admit(kind, entry, self._clock())

    def note(self, kind: Hashable, entry: Entry) -> None:
        """Have an entry written soon, or count it among those of its kind."""
        if self.admits(kind, entry):
            self._wait(entry)

    async def run(self) -> None:
        """Work until cancelled; what waits then is written."""
        pause = EVERY
        try:
            while True:
                await asyncio.sleep(pause)
                pause = EVERY if await self.write() else PAUSE
        finally:
            await self.write()

    async def write(self) -> bool:
        """Write what waits; whether that was possible."""
        async with self._writing:
            return await self._write()

    async def _write(self) -> bool:
        for entry in self._budget.due(self._clock()):
            self._wait(entry)
        while self._waiting:
            some = self._waiting[:_MOST_AT_ONCE]
            try:
                await self._store.record_audit(some)
            except ServerError as error:
                _log.warning("the audit cannot be written now", cause=str(error))
                return False
            del self._waiting[: len(some)]
        return True

    def _wait(self, entry: Entry) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(entry)
        else:
            self._budget.count(entry, self._clock())
