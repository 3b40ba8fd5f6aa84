"""The start of a server on a database that is older than what agents have seen of it.

The database says whether it is a copy (`Database.restored`), and one that was put back by other
means counts fewer starts than its data directory does. A restored database never starts again by
itself what may have run: what that takes is all in here, done once, at the first start after the
restoration. Queries live here.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from remote_protocol.attempt_id import MAX_NUMBER, AttemptId
from remote_protocol.ids import ulid_to_bytes
from remote_server.store.members import recount_groups
from remote_server.store.meta import read_meta, set_meta
from remote_server.store.ports import Reader, Transaction
from remote_server.store.private_inputs import forget_ended_inputs
from remote_server.store.repository import Repository, is_state
from remote_server.store.schema import LIVE_STATES, attempts, jobs, timeline

NO_MORE_TRIES: Final = 1_000_000
"""Tries of a job that gets no other attempt: more than any policy allows. It marks the jobs of
which a restored database does not know what happened since."""
MOST_NUMBERS: Final = 1_000_000
"""Numbers skipped where the Unix time does not help: more than one job ever uses."""
CLOCK_ERROR: Final = 60.0
"""Seconds by which the server's clock may have been set back since the copy was made."""
STARTS: Final = "starts"
_SINCE: Final = "restored_since"
_LAST_TIME: Final = MAX_NUMBER - 2 * MOST_NUMBERS

_NOT_KNOWN: Final = "the database was restored from an older copy; "
_ENDED: Final = (
    f"{_NOT_KNOWN}whether the job ran since is not known, so it is not started again by itself: "
    "remotectl job retry "
)
_LEFT: Final = (
    f"{_NOT_KNOWN}the attempt goes on if its agent still has it, and no other one follows by itself"
)
_MAY_RUN: Final = f"{_NOT_KNOWN}it may run, as the configuration says: [jobs] after_restore"
_CANCELLED: Final = f"{_NOT_KNOWN}a cancel had been asked for"

_LAST_EVENT: Final = (
    select(timeline.c.at)
    .order_by(timeline.c.seq.desc())
    .limit(literal_column("1"))
    .offset(literal_column("0"))
)
_JOB: Final = select(
    jobs.c.used, jobs.c.tries, jobs.c.cancel_requested_at, jobs.c.end_reason
).where(jobs.c.id == bindparam("job"))


def _text(value: str) -> ColumnElement[str]:
    return literal_column(f"'{value}'", Text)


_QUEUED: Final = is_state(jobs.c.state, "queued")
_LEASED: Final = is_state(jobs.c.state, "assigned", "running")
_TAKE_BACK: Final = (
    update(attempts).where(is_state(attempts.c.state, "offered")).values(state=_text("withdrawn"))
)
_QUEUE_AGAIN: Final = (
    update(jobs)
    .where(
        is_state(jobs.c.state, "assigned"),
        jobs.c.id.not_in(select(attempts.c.job).where(literal_column(LIVE_STATES))),
    )
    .values(
        {name: null() for name in ("agent", "assigned_at", "started_at")}
        | {name: jobs.c[name] - literal_column("1") for name in ("attempt", "used", "tries")}
        | {"state": _text("queued")}
    )
)


def _ends(
    which: ColumnElement[bool], state: str, reason: str, detail: ColumnElement[str]
) -> tuple[Any, Any]:
    """The statements that end some queued jobs: one tells it, one does it."""
    told = _tells(which, reason, detail, _text(state))
    values = {
        "state": _text(state),
        "end_reason": _text(reason),
        "end_detail": detail,
        "ended_at": bindparam("now"),
        "tries": literal_column(str(NO_MORE_TRIES)),
    }
    return told, update(jobs).where(which).values(values)


def _tells(
    which: ColumnElement[bool], what: str, detail: ColumnElement[str], state: ColumnElement[Any]
) -> Any:
    return insert(timeline).from_select(
        ["job", "at", "what", "state", "attempt", "source", "detail"],
        select(
            jobs.c.id,
            bindparam("now"),
            _text(what),
            state,
            jobs.c.attempt,
            _text("server"),
            detail,
        ).where(which),
    )


_CANCEL: Final = _ends(
    and_(_QUEUED, jobs.c.cancel_requested_at.is_not(None)),
    "cancelled",
    "cancelled",
    _text(_CANCELLED),
)
_END: Final = _ends(_QUEUED, "failed", "lost", _text(_ENDED) + jobs.c.id)
# What was accepted may have been started since: as if it had been, it is started by nobody now.
_MAY_HAVE_BEGUN: Final = (
    update(attempts)
    .where(is_state(attempts.c.state, "accepted"))
    .values(state=_text("running"), started_at=attempts.c.accepted_at)
)
_NO_OTHER: Final = (
    update(jobs)
    .where(_LEASED)
    .values(
        state=_text("running"),
        started_at=func.coalesce(jobs.c.started_at, jobs.c.assigned_at),
        tries=literal_column(str(NO_MORE_TRIES)),
    )
)
_SKIP_NUMBERS: Final = (
    update(jobs)
    .where(or_(_QUEUED, _LEASED))
    .values(
        used=case(
            (jobs.c.used >= bindparam("base"), jobs.c.used + bindparam("skipped")),
            else_=bindparam("base"),
        ),
        reuse_withdrawn=literal_column("0"),
    )
)
_TELL_LEFT: Final = _tells(_LEASED, "restored", _text(_LEFT), null())
_TELL_MAY_RUN: Final = _tells(or_(_QUEUED, _LEASED), "restored", _text(_MAY_RUN), null())
_COUNT: Final = (
    select(jobs.c.state, func.count().label("number"))
    .where(or_(_QUEUED, _LEASED))
    .group_by(jobs.c.state)
)


class Opening(NamedTuple):
    """What the start of a server found."""

    starts: int
    """Of this database, this one included."""
    restored: bool
    """It is older than it was when it was used last."""
    ended: int = 0
    """Jobs that waited, and were ended."""
    queued: int = 0
    """Jobs that wait, and may run."""
    left: int = 0
    """Jobs that are left to the agents that hold their attempts."""
    withdrawn: int = 0
    """Offers that were taken back."""


class Restoration(Repository):
    """The repository of what a restored database does not know."""

    restored_since: float | None = None
    """Unix time from which on there may be jobs that this database does not know; None when it
    was never restored."""

    async def begin_life(self, starts: int, now: float, run: bool = False) -> Opening:
        """A server starts on this database; `starts`: what its data directory counts so far.

        After a restoration, jobs that waited are ended, or `run` with numbers that no former life
        of the database can have given.
        """

        def begin(tx: Transaction) -> Opening:
            counted = int(read_meta(tx, STARTS) or 0)
            restored = self._database.restored(tx) or starts > counted
            total = max(starts, counted) + 1
            forget_ended_inputs(tx)
            set_meta(tx, STARTS, str(total))
            tx.audit("server.start", "server", "", {"start": total, "restored": restored})
            if not restored:
                return Opening(total, False)
            last = tx.one(_LAST_EVENT)
            known = read_meta(tx, _SINCE)
            since = min(last.at if last else 0.0, float(known or now))
            set_meta(tx, _SINCE, repr(since))
            return _conclude(tx, total, now, run)

        opening = await self._database.write(begin)
        since = await self._database.read(lambda reader: read_meta(reader, _SINCE))
        self.restored_since = None if since is None else float(since)
        return opening


def is_left_alone(reader: Reader, key: AttemptId, since: float) -> bool:
    """Whether an attempt that an agent reports, and does not hold, may run to its end without a
    record: this database, restored and complete until `since`, cannot tell what it is."""
    row = reader.one(_JOB, {"job": key.job})
    if row is None:
        return _made_at(key.job) >= since - CLOCK_ERROR
    if row.tries < NO_MORE_TRIES or row.cancel_requested_at is not None:
        return False
    return bool(key.number > row.used or row.end_reason == "lost")


def _made_at(job: str) -> float:
    """When a job's id was made, in Unix seconds (ulid/spec: 48 bits of milliseconds)."""
    return int.from_bytes(ulid_to_bytes(job)[:6], "big") / 1000


def _conclude(tx: Transaction, starts: int, now: float, run: bool) -> Opening:
    at = {"now": now}
    withdrawn = tx.changed(_TAKE_BACK, {})
    tx.run(_QUEUE_AGAIN)
    tell_cancelled, cancel = _CANCEL
    tx.run(tell_cancelled, at)
    ended = tx.changed(cancel, at)
    if run:
        # The Unix time: two lives of a database, also of the same copy, never share numbers.
        base = int(now) if now < _LAST_TIME else 0
        tx.run(_SKIP_NUMBERS, {"base": base, "skipped": MOST_NUMBERS})
        tx.run(_TELL_MAY_RUN, at)
    else:
        tell_ended, end = _END
        tx.run(tell_ended, at)
        ended += tx.changed(end, at)
        tx.run(_MAY_HAVE_BEGUN)
        tx.run(_NO_OTHER)
        tx.run(_TELL_LEFT, at)
    forget_ended_inputs(tx)
    recount_groups(tx, now)
    counts = {row.state: int(row.number) for row in tx.all(_COUNT)}
    queued = counts.pop("queued", 0)
    return Opening(starts, True, ended, queued, sum(counts.values()), withdrawn)
