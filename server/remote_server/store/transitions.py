"""Writes down what `domain.decisions` says: the one way in which attempts and their jobs change.

Runs inside the transaction that reads the snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, func, literal_column, select, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Usage
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.changes import Accepted, Change, Finished, Lost, Running, Withdrawn
from remote_server.domain.decisions import Decision, End, NewEvent, decide
from remote_server.domain.model import Outcome
from remote_server.store.artifacts import note_artifacts
from remote_server.store.known_attempts import KnownAttempt
from remote_server.store.members import agent_of, member_moved
from remote_server.store.outputs import keep_outputs
from remote_server.store.ports import Report, Transaction
from remote_server.store.private_inputs import forget_private_input
from remote_server.store.schema import HELD, attempts, jobs
from remote_server.store.snapshots import THIS_ATTEMPT, read_attempt


def _set(*names: str) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


_ACCEPT: Final = update(attempts).where(*THIS_ATTEMPT).values(_set("state", "accepted_at"))
_RUN: Final = (
    update(attempts)
    .where(*THIS_ATTEMPT)
    .values(
        _set("state", "started_at")
        | dict.fromkeys(("ended_at", "end_reason", "exit_code"), literal_column("NULL"))
        | {"end_detail": literal_column("''")}
    )
)
_END: Final = (
    update(attempts)
    .where(*THIS_ATTEMPT)
    .values(
        _set("state", "ended_at", "exit_code", "end_reason", "end_detail", "usage", "log_size")
        | _set("log_complete", "log_checksum")
        | {"started_at": func.coalesce(attempts.c.started_at, bindparam("began_at"))}
    )
)
_GIVE_BACK: Final = update(attempts).where(*THIS_ATTEMPT).values(_set("state"))
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
_NEVER_EXPIRES: Final = update(jobs).where(_JOB).values(expires_at=literal_column("NULL"))
_COUNT_REFUSAL: Final = update(jobs).where(_JOB).values(_set("refusals", "refusal"))
_END_JOB: Final = (
    update(jobs)
    .where(_JOB)
    .values(
        _set("state", "ended_at", "exit_code", "end_reason", "end_detail", "usage", "log_size")
        | {"started_at": func.coalesce(jobs.c.started_at, bindparam("began_at"))}
    )
)
_HOLDER: Final = select(attempts.c.agent).where(*THIS_ATTEMPT)
_GOES_ON: Final = (Accepted, Running)
"""Changes after which the attempt is as before but for its state."""
_SUPERSEDE: Final = (
    update(attempts)
    .where(*THIS_ATTEMPT)
    .values(_set("state", "ended_at", "end_reason", "end_detail"))
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
    before: KnownAttempt
    after: KnownAttempt
    """As it would be known, if it were written."""
    found: Decision

    def write(self, tx: Transaction) -> None:
        """The end has not come in this transaction."""
        _write_attempt(tx, self.key, self.found, None, 0.0)
        _write_job(tx, self.key, self.found, None, self.before)


def apply(
    tx: Transaction, key: AttemptId, agent: str | None, change: Change, now: float
) -> Outcome:
    """Conclude from a change and write it down. Stale when `agent` does not hold the attempt;
    None stands for whoever holds it."""
    start = tx.postponed.get(key.job)
    if isinstance(start, _Start) and start.key == key and isinstance(change, Finished):
        known = start.after
    else:
        if start is not None:
            start = None
            tx.write_postponed()
        known = tx.known.find(key) or read_attempt(tx, key)
    snapshot = known.snapshot
    holder = snapshot.agent
    found = decide(key, holder if agent is None else agent, snapshot, change, now)
    if found is None:
        return Outcome(snapshot.job)
    if agent is None and isinstance(change, Lost | Withdrawn):
        tx.changes.given_up[key] = holder, change.detail
    if found.supersedes:
        _supersede(tx, key, snapshot.current, now)
    end = None if found.end is None else _end_row(found.end)
    tx.known.drop(key.job)
    follows = isinstance(change, _GOES_ON) and known.as_usual
    after = known.after(found, now) if follows else None
    postponed = isinstance(change, Running) and after is not None and known.start_can_wait
    if postponed and after is not None:
        tx.postponed[key.job] = _Start(key, known, after, found)
    elif start is not None:
        del tx.postponed[key.job]
    if found.attempt is not snapshot.attempt and not postponed:
        _write_attempt(tx, key, found, end, now)
        if isinstance(change, Finished):
            tx.ends += 1
            keep_outputs(tx, change.ended)
            note_artifacts(tx, change.ended)
    if found.job is not snapshot.job or found.supersedes:
        if found.job_end is not None and found.job_end is not found.end:
            end = _end_row(found.job_end)
        if not postponed:
            _write_job(tx, key, found, end, known)
        reason = found.job_end.reason if found.job_end is not None else None
        if found.job_end is not None and snapshot.policy.private_input:
            forget_private_input(tx, key.job)
        tx.moves(known.queue, snapshot.job, found.job, reason)
        if snapshot.job is JobState.QUEUED and not known.deferred:
            tx.ready(known.demand, -1)
        elif found.job is JobState.QUEUED and known.group_id is None:
            if found.not_before is None:
                tx.ready(known.demand, 1)
            else:
                tx.changes.defer(found.not_before)
        if known.group_id is not None and found.job is not snapshot.job:
            states = snapshot.job, found.job
            member = key.job, agent_of(known.demand)
            member_moved(tx, known.group_id, member, states, now, found.not_before)
    if found.events:
        _note(tx, key, holder, known.queue, found.events)
    if after is not None:
        tx.known.put(key.job, after)
    return Outcome(found.job)


def _note(
    tx: Transaction, key: AttemptId, holder: str, queue: str, events: Sequence[NewEvent]
) -> None:
    """Add events of an attempt to its job's timeline."""
    tx.wrote = True
    rows, changes, actor = tx.events, tx.changes, tx.by.text
    if actor is not None:
        tx.asked = True
    job, number = key
    changes.jobs.add(job)
    for at, what, detail, state, from_agent in events:
        rows.append(
            {
                "job": job,
                "at": at,
                "what": what,
                "state": None if state is None else state._value_,
                "attempt": number,
                "agent": holder,
                "source": "agent" if from_agent else "server",
                "detail": detail,
                "actor": actor,
            }
        )
        if state is None:
            continue
        if state.terminal:
            changes.ended.add(job)
        elif what == "started" and number == 1:
            changes.started.append((job, at, queue))


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
    found: Decision,
    end: dict[str, object] | None,
    known: KnownAttempt,
) -> None:
    snapshot = known.snapshot
    row: dict[str, object] = {"job": key.job, "state": found.job._value_}
    if found.job is JobState.RUNNING:
        row["started_at"] = found.started_at
        if known.as_usual and not known.deferred:
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
    if end is not None and found.started_at is not None and snapshot.expires_at is not None:
        # It has started in time, although only its end says so.
        tx.run(_NEVER_EXPIRES, {"job": key.job})


def _end_row(end: End) -> dict[str, object]:
    return {
        "ended_at": end.at,
        "exit_code": end.exit_code,
        "end_reason": end.reason._value_,
        "end_detail": end.detail,
        "usage": None if end.usage is None else _usage_text(end.usage),
        "log_size": end.log_size or 0,
    }


def _usage_text(usage: Usage) -> str:
    # As model_dump_json does, without its frame of Python and its eighteen arguments.
    return usage.__pydantic_serializer__.to_json(usage, exclude_defaults=True).decode()


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
