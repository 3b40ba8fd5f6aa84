"""The start of a server on a database that is older than what agents have seen of it.

The database says whether it is a copy (`Database.restored`), and one that was put back by other
means counts fewer starts than its data directory does. At the first start after that, every job
that had not ended gets numbers that no former life of the database can have given (I1, I2), and
waits until agents had the time to say what they hold. Queries live here.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Select,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)

from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import Repository, is_state
from remote_server.store.schema import LIVE_STATES, attempts, jobs, meta, timeline

STARTS: Final = "starts"
_SINCE: Final = "restored_since"
MOST_NUMBERS: Final = 1_000_000
"""Numbers skipped where the Unix time does not help: more than one job ever uses."""
_LAST_TIME: Final = (1 << 32) - 2 * MOST_NUMBERS
SKIPPED_EVENTS: Final = 1_000_000_000
"""Numbers of events left out: more than can have happened since the copy was made."""

_META: Final = select(meta.c.value).where(meta.c.name == bindparam("wanted"))
_FORGET: Final = delete(meta).where(meta.c.name == bindparam("wanted"))
_NOTE: Final = insert(meta).values(name=bindparam("name"), value=bindparam("value"))
_LAST_EVENT: Final = (
    select(timeline.c.at)
    .order_by(timeline.c.seq.desc())
    .limit(literal_column("1"))
    .offset(literal_column("0"))
)
_OPEN: Final = is_state(jobs.c.state, "queued", "assigned", "running")
_TAKE_BACK: Final = (
    update(attempts)
    .where(is_state(attempts.c.state, "offered"))
    .values(state=literal_column("'withdrawn'"))
)
_TAKEN_BACK: Final = (
    is_state(jobs.c.state, "assigned"),
    jobs.c.id.not_in(select(attempts.c.job).where(literal_column(LIVE_STATES))),
)
_CANCEL_ASKED: Final = (*_TAKEN_BACK, jobs.c.cancel_requested_at.is_not(None))
_TELL_CANCELLED: Final = insert(timeline).from_select(
    ["job", "at", "what", "state", "attempt", "source", "detail"],
    select(
        jobs.c.id,
        bindparam("now"),
        literal_column("'cancelled'"),
        literal_column("'cancelled'"),
        jobs.c.attempt,
        literal_column("'server'"),
        bindparam("detail"),
    ).where(*_CANCEL_ASKED),
)
_CANCEL: Final = (
    update(jobs)
    .where(*_CANCEL_ASKED)
    .values(
        state=literal_column("'cancelled'"),
        end_reason=literal_column("'cancelled'"),
        end_detail=bindparam("detail"),
        ended_at=bindparam("now"),
    )
)
_QUEUE_AGAIN: Final = (
    update(jobs)
    .where(*_TAKEN_BACK)
    .values(
        {name: null() for name in ("agent", "assigned_at", "started_at")}
        | {name: jobs.c[name] - literal_column("1") for name in ("attempt", "used")}
        | {"state": literal_column("'queued'")}
    )
)
_FLOOR: Final = case(
    (jobs.c.used >= bindparam("base"), jobs.c.used + bindparam("skipped")), else_=bindparam("base")
)
_RAISE: Final = (
    update(jobs)
    .where(_OPEN)
    .values(
        used=_FLOOR,
        former_number=_FLOOR,
        skipped_numbers=_FLOOR
        - jobs.c.used
        + func.coalesce(jobs.c.skipped_numbers, literal_column("0")),
        reuse_withdrawn=literal_column("0"),
        hold_until=bindparam("until"),
        expires_at=case(
            (jobs.c.expires_at < bindparam("until"), bindparam("until")), else_=jobs.c.expires_at
        ),
    )
)
_HOLD: Final = (
    update(jobs)
    .where(is_state(jobs.c.state, "queued"))
    .values(
        deferred=literal_column("1"),
        not_before=case(
            (jobs.c.not_before > bindparam("until"), jobs.c.not_before), else_=bindparam("until")
        ),
    )
)
_TELL: Final = insert(timeline).from_select(
    ["job", "at", "what", "attempt", "source", "detail"],
    select(
        jobs.c.id,
        bindparam("now"),
        literal_column("'restored'"),
        jobs.c.attempt,
        literal_column("'server'"),
        bindparam("detail"),
    ).where(_OPEN),
)
_ANY_OPEN: Final[Select[Any]] = (
    select(jobs.c.id)
    .where(jobs.c.former_number.is_not(None), jobs.c.ended_at.is_(None))
    .limit(literal_column("1"))
    .offset(literal_column("0"))
)
_COUNT: Final = select(func.count().label("number")).select_from(jobs).where(_OPEN)
_CANCELLED: Final = "its cancel was asked for; the database was restored while it was offered"
_DETAIL: Final = (
    "the database was restored from an older copy: what happened to the job since is not known "
    "here; agents have time to tell"
)


class Opening(NamedTuple):
    """What the start of a server found."""

    starts: int
    """Of this database, this one included."""
    restored: bool
    """It is older than it was when it was used last."""
    jobs: int = 0
    """Jobs that had not ended in it."""


class Restoration(Repository):
    """The repository of what a restored database does not know."""

    unknown_since: float | None = None
    """Unix time from which on there may be jobs that this database does not know; None when it
    was never restored."""

    async def begin_life(self, starts: int, now: float, grace: float) -> Opening:
        """A server starts on this database; `starts`: what its data directory counts so far.

        Behind a restoration, jobs that had not ended wait for `grace` seconds.
        """

        def begin(tx: Transaction) -> Opening:
            counted = int(_value(tx, STARTS) or 0)
            restored = self._database.restored(tx) or starts > counted
            total = max(starts, counted) + 1
            _set(tx, STARTS, str(total))
            if not restored:
                return Opening(total, False)
            last = tx.one(_LAST_EVENT)
            known = _value(tx, _SINCE)
            since = min(last.at if last else 0.0, float(known or now))
            _set(tx, _SINCE, repr(since))
            return Opening(total, True, _raise_floor(tx, now, now + grace))

        opening = await self._database.write(begin)
        since = await self._database.read(lambda reader: _value(reader, _SINCE))
        self.unknown_since = None if since is None else float(since)
        return opening

    async def asks_agents(self) -> bool:
        """Whether agents may know more about some job than this database does."""
        if self.unknown_since is None:
            return False
        return await self._database.read(asks_agents)


def asks_agents(reader: Reader) -> bool:
    """Whether some job that has not ended may have gone on in a former life of the database."""
    return reader.one(_ANY_OPEN) is not None


def _raise_floor(tx: Transaction, now: float, until: float) -> int:
    # The Unix time: two lives of a database, also of the same copy, never share numbers.
    base = int(now) if now < _LAST_TIME else 0
    tx.run(_TAKE_BACK, {})
    for cancel in (_TELL_CANCELLED, _CANCEL):
        tx.run(cancel, {"now": now, "detail": _CANCELLED})
    tx.run(_QUEUE_AGAIN, {})
    tx.run(_RAISE, {"base": base, "skipped": MOST_NUMBERS, "until": until})
    tx.run(_HOLD, {"until": until})
    tx.run(_TELL, {"now": now, "detail": _DETAIL})
    tx.changes.defer(until)
    row = tx.one(_COUNT)
    return int(row.number) if row else 0


def _value(reader: Reader, name: str) -> str | None:
    row = reader.one(_META, {"wanted": name})
    return None if row is None else str(row.value)


def _set(tx: Transaction, name: str, value: str) -> None:
    tx.run(_FORGET, {"wanted": name})
    tx.run(_NOTE, {"name": name, "value": value})
