"""The loop that deletes old logs and forgets old jobs, as their queues and the configuration say,
old entries of the audit, and logins that nobody confirmed.

Logs may lie in an archive that is slow or away: nothing else waits for this loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_server.artifacts import ArtifactUnavailable
from remote_server.domain.audit import Entry
from remote_server.domain.model import SYSTEM, Clock, Queue
from remote_server.errors import StoreUnavailable
from remote_server.logs import LogUnavailable
from remote_server.store import Store

_MOST_FORGOTTEN: Final = 2000
"""Jobs forgotten in one round; then it goes on after a moment."""
_MOMENT: Final = 5.0
_MOST_FAILURES: Final = 20
"""Logs in a row that cannot be deleted: then the rest waits for the next round."""

DeleteLog = Callable[[AttemptId], Awaitable[object]]
"""Removes the log of an attempt; a missing one is no error. LogUnavailable."""
DeleteArtifacts = Callable[[str], Awaitable[object]]
"""Removes the artifacts of a job; missing ones are no error. ArtifactUnavailable."""


class Deletions(NamedTuple):
    """How what is not in the database goes."""

    log: DeleteLog
    artifacts: DeleteArtifacts


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """Durations in seconds."""

    every: float = 300.0
    jobs: float | None = None
    """Ended jobs are kept for so long where their queue does not say otherwise; None: for ever."""
    audit: float | None = None
    """Entries of the audit are kept for so long; None: for ever."""


class Retention:
    """Deletes what is kept no longer. `run` is its loop."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        deletions: Deletions,
        settings: RetentionSettings = RetentionSettings(),
    ) -> None:
        self._store = store
        self._clock = clock
        self._delete_log, self._delete_artifacts = deletions
        self._settings = settings
        self._failures = 0
        """Of deletions in a row."""
        self._kept: dict[AttemptId, LogUnavailable] = {}
        """What could not be deleted in this round: each once, however often it was tried."""
        self._log = structlog.get_logger("remote_server.retention")

    async def run(self) -> None:
        """Work until cancelled."""
        pause = self._settings.every
        while True:
            await asyncio.sleep(pause)
            pause = self._settings.every
            try:
                await self.delete_logs()
                if await self.forget_jobs() >= _MOST_FORGOTTEN:
                    pause = _MOMENT
                await self.forget_audit()
                await self._store.forget_logins(self._clock.wall())
            except (StoreUnavailable, LogUnavailable, ArtifactUnavailable) as error:
                # What is left is found again by its rows.
                self._log.warning("old logs and jobs cannot be deleted now", cause=str(error))
            except Exception:
                self._log.exception("a round of retention failed")
            self._tell_kept()

    async def delete_logs(self) -> None:
        """Delete logs that are older than their queues keep them, or more than they keep."""
        deleted: dict[str, int] = {}
        try:
            await self._delete_logs(deleted)
        finally:
            if deleted:
                await self._tell("log.delete", "log", {"by_queue": deleted})

    async def _delete_logs(self, deleted: dict[str, int]) -> None:
        for queue in await self._store.queues():
            if queue.log_retention is not None:
                before = self._clock.wall() - queue.log_retention
                while count := await self._delete_before(queue, before):
                    self._log.info("logs deleted", queue=queue.name, count=count)
                    deleted[queue.name] = deleted.get(queue.name, 0) + count
                    await asyncio.sleep(0)
            if queue.log_max_total is not None:
                count = await self._shrink(queue, queue.log_max_total)
                if count:
                    deleted[queue.name] = deleted.get(queue.name, 0) + count

    async def forget_jobs(self) -> int:
        """Forget jobs that ended longer ago than their queues keep them; how many, not too many
        at a time."""
        kept = {queue.name: queue.job_retention for queue in await self._store.queues()}
        # Jobs outlive their queue.
        names = {name for name, _ in await self._store.counts()} | kept.keys()
        count = 0
        for name in sorted(names):
            seconds = kept.get(name)
            seconds = self._settings.jobs if seconds is None else seconds
            if seconds is not None:
                count += await self._forget_before(name, self._clock.wall() - seconds)
        if count:
            self._log.info("jobs forgotten", count=count)
            await self._tell("job.forget", "job", {"jobs": count})
        return count

    async def forget_audit(self) -> None:
        """Remove the entries of the audit that are older than it is kept."""
        if self._settings.audit is None:
            return
        before = self._clock.wall() - self._settings.audit
        total = 0
        while count := await self._store.forget_audit(before):
            total += count
            await asyncio.sleep(0)
        if total:
            self._log.info("entries of the audit forgotten", count=total)
            await self._tell("audit.forget", "audit", {"entries": total})

    async def _tell(self, action: str, kind: str, detail: Mapping[str, object]) -> None:
        """Tell the audit what a sweep has deleted."""
        await self._store.record_audit([Entry(SYSTEM, action, kind, "", detail)])

    async def _forget_before(self, queue: str, before: float) -> int:
        count, after = 0, ""
        while count < _MOST_FORGOTTEN:
            old = await self._store.old_jobs(queue, before, after)
            if not old:
                break
            # Logs first: what a crash leaves is found again by its rows.
            gone = [job.id for job in old if await self._delete_all(job.attempts)]
            for job in gone:
                await self._delete_artifacts(job)
            count += await self._store.forget_jobs(gone)
            after = old[-1].id
            await asyncio.sleep(0)
        return count

    async def _delete_before(self, queue: Queue, before: float) -> int:
        """Delete a batch of logs; how many."""
        old = await self._store.old_logs(queue.name, before)
        gone = [log.key for log in old if await self._delete(log.key)]
        if gone:
            await self._store.logs_gone(gone)
        return len(gone)

    async def _shrink(self, queue: Queue, most: int) -> int:
        """Delete the oldest logs of a queue that has more than it keeps; how many."""
        count = 0
        total = await self._store.logs_total(queue.name)
        while total > most:
            old = await self._store.old_logs(queue.name, self._clock.wall())
            gone: list[AttemptId] = []
            for log in old:
                if total <= most:
                    break
                if await self._delete(log.key):
                    gone.append(log.key)
                # One that stays for now is not made up for by a newer one.
                total -= log.size
            if not gone:
                break
            await self._store.logs_gone(gone)
            count += len(gone)
            await asyncio.sleep(0)
        return count

    async def _delete_all(self, keys: Iterable[AttemptId]) -> bool:
        """Delete logs; whether all are gone."""
        return all([await self._delete(key) for key in keys])

    async def _delete(self, key: AttemptId) -> bool:
        """Delete a log; false when that is not possible now: others need not wait for it.
        LogUnavailable when it seems that none can be deleted."""
        try:
            await self._delete_log(key)
        except LogUnavailable as error:
            self._failures += 1
            if self._failures > _MOST_FAILURES:
                self._failures = 0
                raise
            self._kept[key] = error
            return False
        self._failures = 0
        return True

    def _tell_kept(self) -> None:
        """Tell, once a round, what could not be deleted."""
        if self._kept:
            key, error = next(iter(self._kept.items()))
            self._log.warning(
                "some old logs cannot be deleted now",
                count=len(self._kept),
                attempt=str(key),
                cause=str(error),
            )
            self._kept.clear()
