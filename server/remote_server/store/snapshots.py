"""Reads an attempt and its job as decisions need them, inside a transaction."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, func, select

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.decisions import Snapshot
from remote_server.domain.demand import policy_from
from remote_server.errors import Stale
from remote_server.store.known_attempts import KnownAttempt
from remote_server.store.ports import Reader, Row
from remote_server.store.schema import attempts, jobs

THIS_ATTEMPT: Final = (
    attempts.c.job == bindparam("at_job"),
    attempts.c.number == bindparam("at_number"),
)
"""By the parameters `at_job` and `at_number`."""
_SNAPSHOT: Final = (
    select(
        jobs.c.state,
        jobs.c.attempt,
        jobs.c.used,
        jobs.c.policy,
        jobs.c.cancel_requested_at,
        jobs.c.cancel_detail,
        jobs.c.expires_at,
        attempts.c.agent,
        attempts.c.state.label("attempt_state"),
        attempts.c.started_at,
        func.coalesce(attempts.c.started_at, attempts.c.accepted_at, attempts.c.offered_at).label(
            "since"
        ),
        jobs.c.queue,
        jobs.c.demand,
        jobs.c.deferred,
        jobs.c.tries,
        jobs.c.refusals,
        jobs.c.group_id,
    )
    .join_from(attempts, jobs, jobs.c.id == attempts.c.job)
    .where(*THIS_ATTEMPT)
    .with_for_update()
)


# Calling an enum costs forty times a look-up, three times for each job.
_JOB_STATES: Final = {state.value: state for state in JobState}
_ATTEMPT_STATES: Final = {state.value: state for state in AttemptState}


def read_attempt(tx: Reader, key: AttemptId) -> KnownAttempt:
    """An attempt as the database has it. Stale when there is none."""
    row = tx.one(_SNAPSHOT, {"at_job": key.job, "at_number": key.number})
    if row is None:
        raise Stale(f"there is no attempt {key}")
    return KnownAttempt(
        key.number, _snapshot(row), row.queue, row.demand, row.deferred, row.group_id
    )


def _snapshot(row: Row) -> Snapshot:
    return Snapshot(
        job=_JOB_STATES[row.state],
        current=row.attempt,
        used=row.used,
        policy=policy_from(row.policy),
        cancelled=row.cancel_requested_at is not None,
        cancel_detail=row.cancel_detail,
        expires_at=row.expires_at,
        agent=row.agent,
        attempt=_ATTEMPT_STATES[row.attempt_state],
        started_at=row.started_at,
        since=row.since,
        tries=row.tries,
        refusals=row.refusals or 0,
    )
