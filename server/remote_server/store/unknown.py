"""Attempts that a restored database does not know: its agents report them. Queries live here.

Runs inside the transaction that concludes from the report.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import and_, bindparam, insert, literal_column, select, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.demand import demand_from, policy_from
from remote_server.domain.model import Lease
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.schema import attempts, jobs, specs
from remote_server.store.specifications import Specs

_FOUND: Final = (
    select(
        jobs.c.state,
        jobs.c.attempt,
        jobs.c.former_number,
        jobs.c.queue,
        jobs.c.policy,
        attempts.c.state.label("attempt_state"),
    )
    .outerjoin_from(
        jobs,
        attempts,
        and_(attempts.c.job == jobs.c.id, attempts.c.number == bindparam("number")),
    )
    .where(jobs.c.id == bindparam("job"))
)
_HAS_JOB: Final = select(jobs.c.id).where(jobs.c.id == bindparam("job"))
_INSERT: Final = insert(attempts).values(
    {name: bindparam(name) for name in ("job", "number", "agent", "queue", "offered_at")}
    | {name: literal_column("0") for name in ("log_size", "log_complete", "log_gone")}
    | {"state": literal_column("'lost'"), "end_detail": literal_column("''")}
)
_UPDATE: Final = (
    update(attempts)
    .where(attempts.c.job == bindparam("job"), attempts.c.number == bindparam("number"))
    .values(
        agent=bindparam("agent"), offered_at=bindparam("offered_at"), state=literal_column("'lost'")
    )
)
_COUNT: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(skipped_numbers=jobs.c.skipped_numbers - bindparam("more"))
)


_JOB: Final = (
    select(
        jobs.c.demand,
        specs.c.spec,
        specs.c.bulk,
        jobs.c.cancel_requested_at,
        jobs.c.cancel_detail,
    )
    .join_from(jobs, specs, specs.c.job == jobs.c.id)
    .where(jobs.c.id == bindparam("job"))
)


def has_job(reader: Reader, job: str) -> bool:
    """Whether the database knows a job."""
    return reader.one(_HAS_JOB, {"job": job}) is not None


def is_unknown(reader: Reader, key: AttemptId) -> bool:
    """Whether an attempt of a job that has not ended may have been given by a former life of the
    database, after all that this one knows of the job."""
    row = reader.one(_FOUND, {"job": key.job, "number": key.number})
    if row is None:
        return False
    if JobState(row.state).terminal or row.former_number is None or key.number > row.former_number:
        return False
    unused = (None, AttemptState.WITHDRAWN.value)
    return bool(row.attempt < key.number) and row.attempt_state in unused


def unknown_row(reader: Reader, key: AttemptId) -> Row | None:
    """What `unknown_lease` needs of an unknown attempt; None for known ones."""
    return reader.one(_JOB, {"job": key.job}) if is_unknown(reader, key) else None


def unknown_lease(row: Row, key: AttemptId, agent: str, parsed: Specs) -> Lease:
    """The lease that an unknown attempt gets when its agent reports it."""
    wanted = demand_from(row.demand)
    return Lease(
        key=key,
        agent=agent,
        state=AttemptState.LOST,
        queue=wanted.queue,
        weight=wanted.weight,
        spec=parsed.parse(key.job, row.spec, row.bulk),
        offered_at=0.0,
        cancel_requested=row.cancel_requested_at is not None,
        cancel_detail=row.cancel_detail,
        may_return=True,
        unknown=True,
        before_restore=True,
    )


def make_known(tx: Transaction, key: AttemptId, agent: str, now: float) -> None:
    """Give an unknown attempt its row, as a lost one that may return; else change nothing."""
    if not is_unknown(tx, key):
        return
    found = tx.one(_FOUND, {"job": key.job, "number": key.number})
    assert found is not None
    row: dict[str, object] = {
        "job": key.job,
        "number": key.number,
        "agent": agent,
        "offered_at": now,
    }
    if found.attempt_state is None:
        tx.run(_INSERT, row | {"queue": found.queue})
    else:
        tx.run(_UPDATE, row)
    # Numbers of one life are consecutive: those in between have run, too. After the numbers of
    # another life, all that is known is this one.
    more = key.number - found.attempt
    most = policy_from(found.policy).max_attempts
    tx.run(_COUNT, {"job": key.job, "more": more if more <= most else 1})
