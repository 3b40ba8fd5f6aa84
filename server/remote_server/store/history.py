"""The timeline of jobs, the stream of events made of it, and which old logs may go. Queries
live here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, literal_column, select, update

from remote_server.domain.model import Happening, Key
from remote_server.store.room import NONE_SKIPPED, Room
from remote_server.store.rows import SELECT_HAPPENING, happening_from
from remote_server.store.schema import attempts, jobs, timeline

# By time first: what an agent did while it was cut off is written later than it happened.
_TIMELINE: Final = (
    SELECT_HAPPENING.where(timeline.c.job == bindparam("of"))
    .order_by(timeline.c.at, timeline.c.seq)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_HAPPENINGS: Final = (
    SELECT_HAPPENING.where(timeline.c.seq > bindparam("after"), timeline.c.state.is_not(None))
    .order_by(timeline.c.seq)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_LAST: Final = select(func.coalesce(func.max(timeline.c.seq), literal_column("0")))
_LOGGED: Final = (
    attempts.c.queue == bindparam("of_queue"),
    attempts.c.ended_at.is_not(None),
    attempts.c.log_gone == literal_column("0"),
)
_OLD_LOGS: Final = (
    select(attempts.c.job, attempts.c.number, attempts.c.log_size, attempts.c.ended_at)
    .join_from(attempts, jobs, jobs.c.id == attempts.c.job)
    .where(*_LOGGED, attempts.c.ended_at < bindparam("before"), jobs.c.ended_at.is_not(None))
    .order_by(attempts.c.ended_at)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_TOTAL: Final = select(func.coalesce(func.sum(attempts.c.log_size), literal_column("0"))).where(
    *_LOGGED
)
_GONE: Final = (
    update(attempts)
    .where(attempts.c.job == bindparam("at_job"), attempts.c.number == bindparam("at_number"))
    .values(log_gone=literal_column("1"))
)


class OldLog(NamedTuple):
    """The log of an ended attempt of an ended job."""

    key: Key
    size: int
    ended_at: float


class History(Room):
    """The room of what has been."""

    async def timeline(self, job: str, limit: int = 10_000) -> list[Happening]:
        """What happened to a job, in the order in which it happened."""
        rows = await self._database.read(
            lambda reader: reader.all(_TIMELINE, {"of": job, "count": limit})
        )
        return [happening_from(row) for row in rows]

    async def happenings(self, after: int, limit: int = 1000) -> list[Happening]:
        """The changes of jobs' states behind `after`, in the order of their commits."""
        rows = await self._database.read(
            lambda reader: reader.all(_HAPPENINGS, {"after": after, "count": limit})
        )
        return [happening_from(row) for row in rows]

    async def last_seq(self) -> int:
        """The number of the newest timeline entry; 0 when there is none."""
        row = await self._database.read(lambda reader: reader.one(_LAST))
        return int(row[0]) if row else 0

    async def old_logs(self, queue: str, before: float, limit: int = 200) -> list[OldLog]:
        """Logs of a queue's jobs that ended before `before` (Unix seconds), the oldest first."""
        rows = await self._database.read(
            lambda reader: reader.all(
                _OLD_LOGS, {"of_queue": queue, "before": before, "count": limit}
            )
        )
        return [OldLog(Key(row[0], row[1]), row[2], row[3]) for row in rows]

    async def logs_total(self, queue: str) -> int:
        """Bytes of a queue's logs that are kept (the full text, before compression)."""
        row = await self._database.read(lambda reader: reader.one(_TOTAL, {"of_queue": queue}))
        return int(row[0]) if row else 0

    async def logs_gone(self, keys: Iterable[Key]) -> None:
        """Note that these logs were deleted."""
        rows = [{"at_job": key.job, "at_number": key.attempt} for key in keys]
        await self._database.write(lambda tx: tx.many(_GONE, rows))
