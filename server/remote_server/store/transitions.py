"""Writes down what `domain.decisions` says: the one way in which attempts and their jobs change.

Runs inside the transaction that reads the snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, func, literal_column, select, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.changes import Change, Finished, Lost, Running, Withdrawn
from remote_server.domain.decisions import Decision, End, Snapshot, decide
from remote_server.domain.demand import policy_from
from remote_server.domain.model import Outcome
from remote_server.errors import Stale
from remote_server.store.artifacts import note_artifacts
from remote_server.store.members import agent_of, member_moved
from remote_server.store.outputs import keep_outputs
from remote_server.store.ports import Report, Row, Transaction
from remote_server.store.private_inputs import forget_private_input
from remote_server.store.schema import HELD, attempts, jobs

_THIS: Final = (attempts.c.job == bindparam("at_job"), attempts.c.number == bindparam("at_number"))
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
    .where(*_THIS)
    .with_for_update()
)

# Calling an enum costs forty times a look-up, three times for each job.
_JOB_STATES: Final = {state.value: state for state in JobState}
_ATTEMPT_STATES: Final = {state.value: state for state in AttemptState}


def _set(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


_ACCEPT: Final = update(attempts).where(*_THIS).values(_set("state", "accepted_at"))
_RUN: Final = (
    update(attempts)
    .where(*_THIS)
    .values(
        _set("state", "started_at")
        | dict.fromkeys(("ended_at", "end_reason", "exit_code"), literal_column("NULL"))
        | {"end_detail": literal_column("''")}
    )
)
_END: Final = (
    update(attempts)
    .where(*_THIS)
    .values(
        _set("state", "ended_at", "exit_code", "end_reason", "end_detail", "usage", "log_size")
        | _set("log_complete", "log_checksum")
        | {"started_at": func.coalesce(attempts.c.started_at, bindparam("began_at"))}
    )
)
_GIVE_BACK: Final = update(attempts).where(*_THIS).values(_set("state"))
_JOB: Final = jobs.c.id == bindparam("job")
_RUN_JOB: Final = (
    update(jobs)
    .where(_JOB)
    .values(
        _set("state", "started_at", "attempt", "agent", "deferred")
        | dict.fromkeys(("expires_at", "not_before"), literal_column("NULL"))
    )
)
# Of a job that was given as usual: what is the same is left alone, and so are indexes of it.
_START_JOB: Final = (
    update(jobs)
    .where(_JOB)
    .values(_set("state", "started_at") | {"expires_at": literal_column("NULL")})
)
_QUEUE_JOB: Final = (
    update(jobs)
    .where(_JOB)
    .values(
        _set("state", "attempt", "used", "tries", "deferred", "not_before")
        # A number that was withdrawn before an attempt came back is still there to be given.
        | {"reuse_withdrawn": func.coalesce(bindparam("reuse"), jobs.c.reuse_withdrawn)}
        | dict.fromkeys(("agent", "assigned_at", "started_at"), literal_column("NULL"))
    )
)
_COUNT_REFUSAL: Final = update(jobs).where(_JOB).values(_set("refusals", "refusal"))
_END_JOB: Final = (
    update(jobs)
    .where(_JOB)
    .values(
        _set("state", "ended_at", "exit_code", "end_reason", "end_detail", "usage", "log_size")
        | {"started_at": func.coalesce(jobs.c.started_at, bindparam("began_at"))}
    )
)
_HOLDER: Final = select(attempts.c.agent).where(*_THIS)
_SUPERSEDE: Final = (
    update(attempts).where(*_THIS).values(_set("state", "ended_at", "end_reason", "end_detail"))
)


@dataclass(slots=True)
class Reported(Report):
    """What an agent reports of an attempt, as an operation."""

    agent: str
    change: Change
    now: float

    def __call__(self, tx: Transaction) -> Outcome:
        return apply(tx, self.change.key, self.agent, self.change, self.now)


@dataclass(slots=True)
class _Start:
    """A start that is not written yet: a short job's end follows at once, and says it all."""

    key: AttemptId
    row: Row
    before: Snapshot
    found: Decision

    def write(self, tx: Transaction) -> None:
        """The end has not come in this transaction."""
        _write_attempt(tx, self.key, self.found, None, 0.0)
        _write_job(tx, self.key, self.before, self.found, None, self.row)

    @property
    def after(self) -> Snapshot:
        """As a snapshot would show it, if it were written."""
        before, found, at = self.before, self.found, self.found.started_at
        # Not `replace`, which costs more than all that is written about a start.
        return Snapshot(
            found.job,
            before.current,
            before.used,
            before.policy,
            before.cancelled,
            before.cancel_detail,
            before.expires_at,
            before.agent,
            found.attempt,
            at,
            at or before.since,
            before.tries,
            before.refusals,
        )


def _can_wait(key: AttemptId, row: Row, snapshot: Snapshot) -> bool:
    """Whether a start leaves nothing behind that its end would not write: it was given as usual,
    has not started before, and no time or group is to be cleared or told."""
    return (
        snapshot.job is JobState.ASSIGNED
        and snapshot.current == key.number
        and snapshot.started_at is None
        and snapshot.expires_at is None
        and not (row.deferred or row.group_id)
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


def apply(
    tx: Transaction, key: AttemptId, agent: str | None, change: Change, now: float
) -> Outcome:
    """Conclude from a change and write it down. Stale when `agent` does not hold the attempt;
    None stands for whoever holds it."""
    start = tx.postponed.get(key.job)
    if isinstance(start, _Start) and start.key == key and isinstance(change, Finished):
        row, snapshot = start.row, start.after
    else:
        if start is not None:
            start = None
            tx.write_postponed()
        row = tx.one(_SNAPSHOT, {"at_job": key.job, "at_number": key.number})
        if row is None:
            raise Stale(f"there is no attempt {key}")
        snapshot = _snapshot(row)
    holder = row.agent
    found = decide(key, holder if agent is None else agent, snapshot, change, now)
    if found is None:
        return Outcome(snapshot.job)
    if agent is None and isinstance(change, Lost | Withdrawn):
        tx.changes.given_up[key] = holder, change.detail
    if found.supersedes:
        _supersede(tx, key, row.attempt, now)
    end = None if found.end is None else _end_row(found.end)
    postponed = isinstance(change, Running) and _can_wait(key, row, snapshot)
    if postponed:
        tx.postponed[key.job] = _Start(key, row, snapshot, found)
    elif start is not None:
        del tx.postponed[key.job]
    if found.attempt is not snapshot.attempt and not postponed:
        _write_attempt(tx, key, found, end, now)
        if isinstance(change, Finished):
            keep_outputs(tx, change.ended)
            note_artifacts(tx, change.ended)
    if found.job is not snapshot.job or found.supersedes:
        if found.job_end is not None and found.job_end is not found.end:
            end = _end_row(found.job_end)
        if not postponed:
            _write_job(tx, key, snapshot, found, end, row)
        reason = found.job_end.reason if found.job_end is not None else None
        if found.job_end is not None and snapshot.policy.private_input:
            forget_private_input(tx, key.job)
        tx.moves(row.queue, snapshot.job, found.job, reason)
        if snapshot.job is JobState.QUEUED and not row.deferred:
            tx.ready(row.demand, -1)
        elif found.job is JobState.QUEUED and row.group_id is None:
            if found.not_before is None:
                tx.ready(row.demand, 1)
            else:
                tx.changes.defer(found.not_before)
        if row.group_id is not None and found.job is not snapshot.job:
            states = snapshot.job, found.job
            member = key.job, agent_of(row.demand)
            member_moved(tx, row.group_id, member, states, now, found.not_before)
    for note in found.events:
        tx.note(
            key.job,
            note.at,
            note.what,
            state=note.state,
            attempt=key.number,
            agent=holder,
            from_agent=note.from_agent,
            detail=note.detail,
            queue=row.queue,
        )
    return Outcome(found.job)


def _write_attempt(
    tx: Transaction, key: AttemptId, found: Decision, end: dict[str, object] | None, now: float
) -> None:
    row: dict[str, object] = {
        "at_job": key.job,
        "at_number": key.number,
        "state": found.attempt._value_,
    }
    if found.attempt is AttemptState.ACCEPTED:
        row["accepted_at"] = now
        tx.run(_ACCEPT, row)
    elif found.attempt is AttemptState.RUNNING:
        row["started_at"] = found.started_at
        tx.run(_RUN, row)
    elif end is not None and found.end is not None:
        row |= end
        row["began_at"] = found.started_at
        row["log_complete"] = int(found.end.log_checksum is not None)
        row["log_checksum"] = found.end.log_checksum
        tx.run(_END, row)
    else:
        tx.run(_GIVE_BACK, row)


def _write_job(
    tx: Transaction,
    key: AttemptId,
    snapshot: Snapshot,
    found: Decision,
    end: dict[str, object] | None,
    known: Row,
) -> None:
    row: dict[str, object] = {"job": key.job, "state": found.job._value_}
    if found.job is JobState.RUNNING:
        row["started_at"] = found.started_at
        given = snapshot.job is JobState.ASSIGNED and snapshot.current == key.number
        if given and not known.deferred:
            tx.run(_START_JOB, row)
        else:
            row |= {"attempt": key.number, "agent": snapshot.agent, "deferred": 0}
            tx.run(_RUN_JOB, row)
    elif found.job is JobState.QUEUED:
        back = found.attempt is AttemptState.WITHDRAWN
        row |= {
            # A withdrawn attempt has not run: its number is given again.
            "attempt": key.number - back,
            "used": snapshot.used - back,
            "tries": snapshot.tries - back,
            "reuse": 1 if back else None,
            "deferred": int(found.not_before is not None) if known.group_id is None else HELD,
            "not_before": found.not_before,
        }
        tx.run(_QUEUE_JOB, row)
        if found.refusal is not None:
            counted = snapshot.refusals + 1
            tx.run(_COUNT_REFUSAL, {"job": key.job, "refusals": counted, "refusal": found.refusal})
    elif end is not None:
        row |= end
        row["began_at"] = found.started_at
        tx.run(_END_JOB, row)


def _end_row(end: End) -> dict[str, object]:
    return {
        "ended_at": end.at,
        "exit_code": end.exit_code,
        "end_reason": end.reason._value_,
        "end_detail": end.detail,
        "usage": None if end.usage is None else end.usage.model_dump_json(exclude_defaults=True),
        "log_size": end.log_size or 0,
    }


def _supersede(tx: Transaction, key: AttemptId, current: int, now: float) -> None:
    """Give up the replacement of an attempt that came back."""
    other = AttemptId(key.job, current)
    row: dict[str, object] = {"at_job": other.job, "at_number": other.number}
    holder = tx.one(_HOLDER, row)
    if holder is None:
        return
    detail = f"attempt {key.number} came back and is kept by the job's policy"
    tx.run(
        _SUPERSEDE,
        row
        | {
            "state": AttemptState.LOST.value,
            "ended_at": now,
            "end_reason": "lost",
            "end_detail": detail,
        },
    )
    tx.note(key.job, now, "superseded", attempt=current, agent=holder.agent, detail=detail)
    tx.changes.given_up[other] = holder.agent, f"attempt {key.number} came back"
