"""The cancellation of one job, inside a transaction."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, select, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason, JobEvent, JobState, advance_job
from remote_server.domain.change_set import Cancel
from remote_server.domain.demand import policy_from
from remote_server.store.members import agent_of, member_moved
from remote_server.store.ports import Row, Transaction
from remote_server.store.private_inputs import forget_private_input
from remote_server.store.schema import jobs

_CANCELLABLE: Final = (
    select(jobs.c.state, jobs.c.queue, jobs.c.demand, jobs.c.deferred, jobs.c.attempt)
    .add_columns(jobs.c.agent, jobs.c.cancel_requested_at, jobs.c.group_id, jobs.c.policy)
    .where(jobs.c.id == bindparam("job"))
    .with_for_update()
)
_WISH: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        cancel_requested_at=bindparam("cancel_requested_at"),
        cancel_detail=bindparam("cancel_detail"),
    )
)
_CANCEL_WAITING: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        {
            name: bindparam(name)
            for name in (
                "state",
                "end_reason",
                "end_detail",
                "ended_at",
                "cancel_requested_at",
                "cancel_detail",
            )
        }
    )
)


def cancel_job(tx: Transaction, job: str, detail: str, now: float) -> JobState | None:
    """Ask for the end of a job; the state in which it was. None: there is no such job.

    A waiting one is cancelled at once; for one that an agent holds the request is stored, and the
    change set says who must be told; one that has ended stays as it is.
    """
    row = tx.one(_CANCELLABLE, {"job": job})
    if row is None:
        return None
    state = JobState(row.state)
    if state is JobState.QUEUED:
        said = f"cancelled while it waited{f': {detail}' if detail else ''}"
        _end(tx, job, row, said, detail, now)
    elif not state.terminal:
        _ask(tx, AttemptId(job, row.attempt), row, detail, now)
    return state


def _end(tx: Transaction, job: str, row: Row, said: str, detail: str, now: float) -> None:
    state = JobState.QUEUED
    ended = advance_job(state, JobEvent.CANCEL)
    tx.run(
        _CANCEL_WAITING,
        {
            "job": job,
            "state": ended.value,
            "end_reason": EndReason.CANCELLED.value,
            "end_detail": said,
            "ended_at": now,
            "cancel_requested_at": now,
            "cancel_detail": detail,
        },
    )
    if policy_from(row.policy).private_input:
        forget_private_input(tx, job)
    tx.note(job, now, "cancelled", state=ended, attempt=row.attempt, detail=said)
    tx.moves(row.queue, state, ended, EndReason.CANCELLED)
    if row.group_id is not None:
        member_moved(tx, row.group_id, (job, agent_of(row.demand)), (state, ended), now)
    elif not row.deferred:
        tx.ready(row.demand, -1)


def _ask(tx: Transaction, key: AttemptId, row: Row, detail: str, now: float) -> None:
    if row.cancel_requested_at is None:
        tx.run(_WISH, {"job": key.job, "cancel_requested_at": now, "cancel_detail": detail})
        tx.note(
            key.job, now, "cancel_requested", attempt=key.number, agent=row.agent, detail=detail
        )
    tx.changes.cancels[key] = Cancel(row.agent, EndReason.CANCELLED, detail)
