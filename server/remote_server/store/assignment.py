"""The assignment of one waiting job to an agent, inside a transaction."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import bindparam, insert, literal_column, select, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.decisions import Snapshot, is_told
from remote_server.domain.demand import policy_from
from remote_server.store.known_attempts import KnownAttempt
from remote_server.store.members import admits, member_moved
from remote_server.store.ports import Row, Transaction
from remote_server.store.schema import HELD, attempts, jobs, specs

_CANDIDATE: Final = (
    select(
        jobs.c.state,
        jobs.c.deferred,
        jobs.c.used,
        jobs.c.reuse_withdrawn,
        jobs.c.queue,
        jobs.c.demand,
        jobs.c.expires_at,
        jobs.c.refusals,
        jobs.c.group_id,
        jobs.c.policy,
        jobs.c.tries,
        jobs.c.cancel_requested_at,
        jobs.c.cancel_detail,
    )
    .where(jobs.c.id == bindparam("job"))
    .with_for_update()
)
_SPEC: Final = select(specs.c.spec, specs.c.bulk).where(specs.c.job == bindparam("of"))
_GIVE: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        {name: bindparam(name) for name in ("state", "attempt", "used", "agent", "assigned_at")}
        | {"reuse_withdrawn": literal_column("0"), "not_before": literal_column("NULL")}
        | {"tries": jobs.c.tries + literal_column("1")}
    )
)
_NEW_ATTEMPT: Final = insert(attempts).values(
    {name: bindparam(name) for name in ("job", "number", "agent", "queue", "state", "offered_at")}
    | {name: literal_column("0") for name in ("log_size", "log_complete", "log_gone")}
    | {"end_detail": literal_column("''")}
)
_SAME_ATTEMPT: Final = (
    update(attempts)
    .where(attempts.c.job == bindparam("at_job"), attempts.c.number == bindparam("at_number"))
    .values({name: bindparam(name) for name in ("agent", "state", "offered_at")})
)


_QUEUED: Final = JobState.QUEUED.value
_ASSIGNED: Final = JobState.ASSIGNED.value
_OFFERED: Final = AttemptState.OFFERED.value


class Given(NamedTuple):
    """A job that was given to an agent; its stored specification where that was not known."""

    key: AttemptId
    agent: str
    demand: str
    stored: Row | None


def give(tx: Transaction, job: str, agent: str, now: float, unknown: bool) -> Given | None:
    """Assign a waiting job; None when it does not wait any more, or its group lets no more start.
    `unknown`: its specification is not in memory."""
    row = tx.one(_CANDIDATE, {"job": job})
    if row is None or row.state != _QUEUED:
        return None
    held = row.deferred == HELD
    if row.deferred and not held:
        return None
    if row.expires_at is not None and row.expires_at <= now:
        return None
    if held and not admits(tx, row.group_id):
        return None
    stored = tx.one(_SPEC, {"of": job}) if unknown else None
    number = row.used + 1
    tx.run(
        _GIVE,
        {
            "job": job,
            "state": _ASSIGNED,
            "attempt": number,
            "used": number,
            "agent": agent,
            "assigned_at": now,
        },
    )
    attempt: dict[str, object] = {
        "agent": agent,
        "state": _OFFERED,
        "offered_at": now,
    }
    if row.reuse_withdrawn:
        tx.run(_SAME_ATTEMPT, attempt | {"at_job": job, "at_number": number})
    else:
        tx.run(_NEW_ATTEMPT, attempt | {"job": job, "number": number, "queue": row.queue})
    if is_told((row.refusals or 0) + 1):
        # Else it is told when it is accepted: most likely it comes back once more.
        tx.note(job, now, "assigned", state=JobState.ASSIGNED, attempt=number, agent=agent)
    if held:
        states = JobState.QUEUED, JobState.ASSIGNED
        member_moved(tx, row.group_id, (job, agent), states, now)
    else:
        tx.ready(row.demand, -1)
    tx.moves(row.queue, JobState.QUEUED, JobState.ASSIGNED)
    tx.known.put(job, _known(row, number, agent, now))
    return Given(AttemptId(job, number), agent, row.demand, stored)


def _known(row: Row, number: int, agent: str, now: float) -> KnownAttempt:
    """The attempt as it is stored, for the first report about it."""
    snapshot = Snapshot(
        job=JobState.ASSIGNED,
        current=number,
        used=number,
        policy=policy_from(row.policy),
        cancelled=row.cancel_requested_at is not None,
        cancel_detail=row.cancel_detail,
        expires_at=row.expires_at,
        agent=agent,
        attempt=AttemptState.OFFERED,
        started_at=None,
        since=now,
        tries=row.tries + 1,
        refusals=row.refusals or 0,
    )
    return KnownAttempt(number, snapshot, row.queue, row.demand, row.deferred, row.group_id)
