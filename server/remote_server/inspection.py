"""Compares the database with the log files, and repairs what can be repaired.

Reads the store and the folder of logs; with `repair` it marks logs as gone and moves folders that
belong to no job aside. It deletes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from remote_server.domain.model import Attempt, Key
from remote_server.errors import NotFound
from remote_server.logs import LogStore
from remote_server.store import Store

_PAGE = 500


class Inspection:
    """One pass over everything. `faults` holds a sentence for each fault found."""

    def __init__(self, store: Store, logs: LogStore, repair: bool) -> None:
        self._store = store
        self._logs = logs
        self._repair = repair
        self.faults: list[str] = []
        self.repaired = 0
        self.jobs = 0

    async def run(self) -> None:
        """Look at the database, then at each log, then for logs without a job."""
        self.faults += await self._store.check()
        missing: list[Key] = []
        async for attempt in self._attempts():
            if attempt.log_complete and not self._sound(attempt):
                missing.append(attempt.key)
        if missing and self._repair:
            await self._store.logs_gone(missing)
            self.repaired += len(missing)
        await self._orphans()

    async def _attempts(self) -> AsyncIterator[Attempt]:
        cursor: str | None = None
        while True:
            jobs, cursor = await self._store.jobs(limit=_PAGE, cursor=cursor)
            for job in jobs:
                self.jobs += 1
                if job.attempt:
                    for attempt in await self._store.attempts_of(job.id):
                        yield attempt
            if cursor is None:
                return

    def _sound(self, attempt: Attempt) -> bool:
        """Whether a finished log is there; False when it is missing and could be marked so."""
        if damage := self._logs.damage(attempt.key):
            self._say(attempt.key, f"cannot be read: {damage}")
            return True
        length = self._logs.length(attempt.key)
        if length >= attempt.log_size:
            return True
        if length == 0:
            done = "; marked as removed" if self._repair else ""
            self._say(attempt.key, f"is missing ({attempt.log_size} bytes){done}")
            return False
        self._say(
            attempt.key,
            f"has {length} of {attempt.log_size} bytes; what is there can be read, the rest is "
            "only on the agent, if its retention still keeps it",
        )
        return True

    def _say(self, key: Key, fault: str) -> None:
        self.faults.append(f"the log of job {key.job}, attempt {key.attempt}, {fault}")

    async def _orphans(self) -> None:
        for job in list(self._logs.jobs()):
            try:
                await self._store.job(job)
            except NotFound:
                folder = self._logs.path(Key(job, 1)).parent
                done = ""
                if self._repair:
                    aside = self._aside(folder)
                    self.repaired += 1
                    done = f"; moved to {aside}"
                self.faults.append(f"{folder} belongs to no job of the database{done}")

    def _aside(self, folder: Path) -> Path:
        """Outside the folder of logs: a log may be all that is left of a job."""
        target = self._logs.root.with_name("logs.orphaned") / folder.name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        folder.rename(target)
        return target
