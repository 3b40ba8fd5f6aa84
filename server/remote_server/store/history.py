"""The timeline of jobs, the stream of events made of it, and which old logs may go. Queries
live here."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, literal_column, select, tuple_, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import JobState
from remote_server.domain.model import SYSTEM, Principal, StateChange, TimelineEvent
from remote_server.store.meta import read_meta, set_meta
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.repository import NONE_SKIPPED, Repository
from remote_server.store.rows import SELECT_CHANGE, SELECT_EVENT, change_from, event_from
from remote_server.store.schema import attempts, jobs, timeline

# By time first: what an agent did while it was cut off is written later than it happened.
_TIMELINE: Final = (
    SELECT_EVENT.where(timeline.c.job == bindparam("of"))
    .order_by(timeline.c.at, timeline.c.seq)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_EVENTS: Final = (
    SELECT_EVENT.where(timeline.c.seq > bindparam("after"), timeline.c.state.is_not(None))
    .order_by(timeline.c.seq)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_CHANGES: Final = (
    SELECT_CHANGE.where(timeline.c.seq > bindparam("after"))
    .order_by(timeline.c.seq)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_LAST: Final = select(func.coalesce(func.max(timeline.c.seq), literal_column("0")).label("seq"))
_NAME: Final = "events_forgotten"
_LAST_OF: Final = select(func.max(timeline.c.seq).label("seq")).where(
    timeline.c.job == bindparam("of"), timeline.c.state.is_not(None)
)
_LOGGED: Final = (
    attempts.c.queue == bindparam("of_queue"),
    attempts.c.ended_at.is_not(None),
    attempts.c.log_gone == literal_column("0"),
)
_OLD_LOGS: Final = (
    select(attempts.c.job, attempts.c.number, attempts.c.log_size)
    .join_from(attempts, jobs, jobs.c.id == attempts.c.job)
    .where(*_LOGGED, attempts.c.ended_at < bindparam("before"), jobs.c.ended_at.is_not(None))
    .order_by(attempts.c.ended_at)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_TOTAL: Final = select(
    func.coalesce(func.sum(attempts.c.log_size), literal_column("0")).label("size")
).where(*_LOGGED)
_GONE: Final = (
    update(attempts)
    .where(attempts.c.job == bindparam("at_job"), attempts.c.number == bindparam("at_number"))
    .values(log_gone=literal_column("1"))
)


_KEPT: Final = (
    select(
        attempts.c.job,
        attempts.c.number,
        attempts.c.log_size,
        attempts.c.log_checksum,
    )
    .where(
        attempts.c.log_complete == literal_column("1"),
        attempts.c.log_gone == literal_column("0"),
        tuple_(attempts.c.job, attempts.c.number)
        > tuple_(bindparam("after_job"), bindparam("after_number")),
    )
    .order_by(attempts.c.job, attempts.c.number)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_TORN: Final = (
    update(attempts)
    .where(attempts.c.job == bindparam("at_job"), attempts.c.number == bindparam("at_number"))
    .values(log_complete=literal_column("0"), log_checksum=literal_column("NULL"))
)


class KeptLog(NamedTuple):
    """A log that was complete, and that retention has not removed."""

    key: AttemptId
    size: int
    checksum: int | None
    """CRC-32; None: not known, its end is older than the column."""


class OldLog(NamedTuple):
    """The log of an ended attempt of an ended job."""

    key: AttemptId
    size: int


class EventsPage(NamedTuple):
    """Some changes of jobs' states."""

    events: list[StateChange]
    forgotten: int
    """Of the events up to this number some are kept no longer; 0: all are."""
    last: int
    """The largest number that is in use."""
    upto: int = 0
    """What follows begins after this number: where some were left out, it is not the last one's."""
    full: bool = False
    """There were as many as were asked for: more may follow."""


def forgotten_events(reader: Reader) -> int:
    """The largest number of an event that is kept no longer; 0 when all are."""
    return int(read_meta(reader, _NAME) or 0)


def last_event(reader: Reader) -> int:
    """The largest number that an event ever had; 0 when there was none."""
    row = reader.one(_LAST)
    return max(int(row.seq) if row else 0, forgotten_events(reader))


def last_event_of(reader: Reader, job: str) -> int:
    """The largest number of an event of a job; 0 when it has none."""
    row = reader.one(_LAST_OF, {"of": job})
    return 0 if row is None else int(row.seq or 0)


def note_forgotten(tx: Transaction, number: int) -> None:
    """Remember that events up to a number were deleted."""
    if number > forgotten_events(tx):
        set_meta(tx, _NAME, str(number))


class History(Repository):
    """The repository of what has been."""

    async def timeline(self, job: str, limit: int = 10_000) -> list[TimelineEvent]:
        """What happened to a job, in the order in which it happened."""
        rows = await self._database.read(
            lambda reader: reader.all(_TIMELINE, {"of": job, "count": limit}), long=True
        )
        return [event_from(row) for row in rows]

    async def input_ended(self, job: str, detail: str, now: float, by: Principal = SYSTEM) -> None:
        """Note that all of a job's input is here."""

        def note(tx: Transaction) -> None:
            tx.note(job, now, "input_ended", detail=detail)
            tx.audit("job.input", "job", job, {"size": detail})

        await self._database.write(note, by=by)

    async def events(self, after: int, limit: int = 1000) -> list[TimelineEvent]:
        """The changes of jobs' states after the number `after`, in the order of their commits."""
        rows = await self._database.read(
            lambda reader: reader.all(_EVENTS, {"after": after, "count": limit}), long=True
        )
        return [event_from(row) for row in rows]

    async def last_seq(self) -> int:
        """The number of the newest timeline entry that there has been; 0 when there was none."""
        return await self._database.read(last_event)

    async def events_page(
        self,
        after: int,
        limit: int = 1000,
        within: Collection[str] | None = None,
        states: Collection[JobState] = (),
    ) -> EventsPage:
        """The same as `events`, and what is kept no longer, at one moment. Of `limit` changes only
        those of jobs in the queues `within`, and to one of `states` (none: to any)."""

        def look(reader: Reader) -> tuple[list[Row], int, int]:
            rows = reader.all(_CHANGES, {"after": after, "count": limit})
            # A page with events tells by them that its position is one of ours.
            return rows, forgotten_events(reader), rows[-1].seq if rows else last_event(reader)

        rows, forgotten, last = await self._database.read(look, long=True)
        upto, full = rows[-1].seq if rows else after, len(rows) == limit
        if within is not None:
            rows = [row for row in rows if row.queue in within]
        if states:
            rows = [row for row in rows if row.state in states]
        return EventsPage([change_from(row) for row in rows], forgotten, last, upto, full)

    async def mark(self, name: str) -> int | None:
        """The number of the last event that a part of the server has done with; None: of none."""
        found = await self._database.read(lambda reader: read_meta(reader, f"mark of {name}"))
        return None if found is None else int(found)

    async def set_mark(self, name: str, number: int) -> None:
        """Remember it."""
        await self._database.write(lambda tx: set_meta(tx, f"mark of {name}", str(number)))

    async def old_logs(self, queue: str, before: float, limit: int = 200) -> list[OldLog]:
        """Logs of a queue's jobs that ended before `before` (Unix seconds), the oldest first."""
        rows = await self._database.read(
            lambda reader: reader.all(
                _OLD_LOGS, {"of_queue": queue, "before": before, "count": limit}
            ),
            long=True,
        )
        return [OldLog(AttemptId(row.job, row.number), row.log_size) for row in rows]

    async def logs_total(self, queue: str) -> int:
        """Bytes of a queue's logs that are kept (the full text, before compression)."""
        row = await self._database.read(
            lambda reader: reader.one(_TOTAL, {"of_queue": queue}), long=True
        )
        return int(row.size) if row else 0

    async def logs_gone(self, keys: Iterable[AttemptId]) -> None:
        """Note that these logs were deleted."""
        rows = [{"at_job": key.job, "at_number": key.number} for key in keys]
        await self._database.write(lambda tx: tx.many(_GONE, rows))

    async def kept_logs(self, after: AttemptId | None = None, limit: int = 500) -> list[KeptLog]:
        """A page of the logs that should be there in full; go on after `after`."""
        job, number = after or ("", 0)
        where = {"after_job": job, "after_number": number, "count": limit}
        rows = await self._database.read(lambda reader: reader.all(_KEPT, where), long=True)
        return [
            KeptLog(AttemptId(row.job, row.number), row.log_size, row.log_checksum) for row in rows
        ]

    async def log_torn(self, key: AttemptId, detail: str, now: float) -> None:
        """Note that a log is not complete any more."""

        def tear(tx: Transaction) -> None:
            tx.run(_TORN, {"at_job": key.job, "at_number": key.number})
            tx.note(key.job, now, "log_incomplete", attempt=key.number, detail=detail)

        await self._database.write(tear)
