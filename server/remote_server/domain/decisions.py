"""What a report about an attempt means for the attempt, its job and its timeline. Pure.

`decide` is called inside the transaction that read the `Snapshot`, and says what to write:
the only place where a job changes its state because of what an agent did or failed to do.
It refuses what is stale (I2), repeats nothing (None), and never touches a terminal state (I3).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from remote_protocol.attempt_id import AttemptId
from remote_protocol.frozen import frozen
from remote_protocol.messages import Usage
from remote_protocol.states import (
    AttemptEvent,
    AttemptState,
    EndReason,
    JobEvent,
    JobState,
    advance_attempt,
    advance_job,
)
from remote_protocol.units import format_duration
from remote_server.domain.changes import (
    Accepted,
    Change,
    Finished,
    Lost,
    Rejected,
    Returned,
    Running,
    Withdrawn,
)
from remote_server.domain.demand import Policy
from remote_server.errors import Stale

MOST_REFUSALS: Final = 50
"""Times that a job comes back before a refusal is its end: by then it waited most of an hour."""
REFUSALS_TOLD: Final = 5
"""Times that a job comes back of which each stands in its timeline; beyond them some do."""
_REFUSALS_FREE: Final = 2
_LONGEST_WAIT: Final = 60.0
EXPIRED: Final = "the job waited longer than its expires_in allows and was never started"

_SPAWNED: Final = "spawned"
# What may still be said about an attempt that is over, without any effect: late repetitions.
_KNOWN: Final = {
    AttemptState.ENDED: (Finished, Lost, Rejected),
    AttemptState.WITHDRAWN: (Withdrawn, Rejected, Lost),
    AttemptState.LOST: (Lost,),
}


@frozen
class Snapshot:
    """An attempt and its job as the database has them."""

    job: JobState
    current: int
    """Number of the job's current attempt."""
    used: int
    """Highest number that may have run; a new attempt gets the next one."""
    policy: Policy
    cancelled: bool
    """Somebody wished the job to be cancelled."""
    cancel_detail: str
    expires_at: float | None
    agent: str
    """Who holds, or held, the attempt."""
    attempt: AttemptState
    started_at: float | None
    since: float
    """The last thing known of the attempt (offered, accepted or started) happened then."""
    tries: int
    """Attempts that count for the policy."""
    refusals: int = 0
    """How often the job came back from agents that it was offered to."""


class NewEvent(NamedTuple):
    """A timeline entry to write."""

    at: float
    what: str
    detail: str = ""
    state: JobState | None = None
    from_agent: bool = False


@frozen
class End:
    """How an attempt ended."""

    at: float
    exit_code: int | None
    reason: EndReason
    detail: str
    usage: Usage | None = None
    log_size: int | None = None
    """Bytes of its log; None: nothing is known about it."""
    log_checksum: int | None = None
    """CRC-32 of its log when that is complete."""


@frozen
class Decision:
    """What to write."""

    attempt: AttemptState
    job: JobState
    events: tuple[NewEvent, ...]
    started_at: float | None = None
    end: End | None = None
    """Set when the attempt is over."""
    job_end: End | None = None
    """Set when the job is over: it may say more than the attempt's end."""
    not_before: float | None = None
    """Set when another attempt waits until then."""
    refusal: str | None = None
    """Set when it came back once more: why."""
    supersedes: bool = False
    """The job's present attempt, another one, has to be given up for this one."""


def decide(
    key: AttemptId, agent: str, snapshot: Snapshot, change: Change, now: float
) -> Decision | None:
    """What `change`, reported by `agent` (or by the server in its name), leads to.

    None when it is known already. Raises Stale when `agent` does not hold the attempt.
    """
    if snapshot.agent != agent:
        raise Stale(f"attempt {key} is held by agent {snapshot.agent!r}, not by {agent!r}")
    if isinstance(change, Returned):
        return _returned(key, snapshot, now)
    if not snapshot.attempt.live:
        if isinstance(change, _KNOWN[snapshot.attempt]):
            return None
        raise Stale(f"attempt {key} is over for the server: {snapshot.attempt}")
    match change:
        case Accepted():
            return _accepted(snapshot, now)
        case Running():
            return _running(snapshot, change, now)
        case Withdrawn():
            return _withdrawn(key, snapshot, change, now)
        case Rejected():
            end = End(
                now, None, EndReason.REJECTED, change.detail or "the agent's policy forbids it"
            )
            return _over(key, snapshot, end, AttemptEvent.END, ())
        case Lost():
            end = End(now, None, EndReason.LOST, change.detail)
            return _over(key, snapshot, end, AttemptEvent.LOSE, ())
        case Finished():
            return _finished(key, snapshot, change, now)


def is_told(count: int) -> bool:
    """Whether the job's timeline tells that it came back for so many times: each of the first ones,
    then the 8th, 16th, 32nd, so that a timeline is bounded whatever agents do."""
    return count <= REFUSALS_TOLD or count & (count - 1) == 0


def refusal_wait(count: int) -> float:
    """Seconds for which nobody is offered a job that came back so many times."""
    over = count - _REFUSALS_FREE
    return min(2.0 ** (over - 1), _LONGEST_WAIT) if over > 0 else 0.0


def _within(at: float | None, snapshot: Snapshot, now: float) -> float:
    """An agent's wall clock may be wrong: its times are shown inside the bounds we know."""
    return now if at is None else max(min(at, now), min(snapshot.since, now))


def _accepted(snapshot: Snapshot, now: float) -> Decision | None:
    if snapshot.attempt is not AttemptState.OFFERED:
        return None
    state = advance_attempt(snapshot.attempt, AttemptEvent.ACCEPT)
    events: tuple[NewEvent, ...] = (NewEvent(now, "accepted"),)
    if not is_told(snapshot.refusals + 1):
        detail = f"after it came back {snapshot.refusals} times"
        events = (NewEvent(now, "assigned", detail, snapshot.job), *events)
    return Decision(state, snapshot.job, events)


def _running(snapshot: Snapshot, change: Running, now: float) -> Decision | None:
    if snapshot.attempt is AttemptState.RUNNING:
        return None
    at = _within(change.at, snapshot, now)
    job = advance_job(snapshot.job, JobEvent.START)
    return Decision(
        advance_attempt(snapshot.attempt, AttemptEvent.START),
        job,
        (NewEvent(at, "started", f"process {change.pid}", job),),
        started_at=at,
    )


def _withdrawn(key: AttemptId, snapshot: Snapshot, change: Withdrawn, now: float) -> Decision:
    detail = change.detail
    if snapshot.attempt is not AttemptState.OFFERED:
        raise Stale(f"attempt {key} was accepted and cannot be handed back")
    attempt = advance_attempt(snapshot.attempt, AttemptEvent.WITHDRAW)
    if snapshot.cancelled:
        end = End(now, None, EndReason.CANCELLED, _cancel_text(snapshot, "before it started"))
        return _final(snapshot, attempt, JobEvent.CANCEL, None, end, (_withdrawal(now, detail),))
    if snapshot.expires_at is not None and snapshot.expires_at <= now:
        end = End(now, None, EndReason.EXPIRED, EXPIRED)
        return _final(snapshot, attempt, JobEvent.FAIL, None, end, (_withdrawal(now, detail),))
    count = snapshot.refusals + 1
    if change.refused and count >= MOST_REFUSALS:
        end = End(now, None, EndReason.REJECTED, f"it came back {count} times, the last: {detail}")
        return _final(snapshot, attempt, JobEvent.FAIL, None, end, (_withdrawal(now, detail),))
    job = advance_job(snapshot.job, JobEvent.WITHDRAW)
    wait = refusal_wait(count)
    said = f"{detail} (it came back {count} times)" if count > REFUSALS_TOLD else detail
    events = (NewEvent(now, "withdrawn", said, job),) if is_told(count) else ()
    not_before = now + wait if wait else None
    return Decision(attempt, job, events, not_before=not_before, refusal=detail)


def _withdrawal(now: float, detail: str) -> NewEvent:
    return NewEvent(now, "withdrawn", detail)


def _returned(key: AttemptId, snapshot: Snapshot, now: float) -> Decision | None:
    if snapshot.attempt.live:
        return None
    wanted = snapshot.policy.keep_first and key.number <= snapshot.current
    if not wanted or snapshot.attempt is not AttemptState.LOST or snapshot.job.terminal:
        raise Stale(f"attempt {key} is over for the server: {snapshot.attempt}")
    job = advance_job(snapshot.job, JobEvent.RETURN)
    detail = "it was given up as lost, and is kept by the job's policy"
    supersedes = key.number != snapshot.current and snapshot.job is not JobState.QUEUED
    return Decision(
        advance_attempt(snapshot.attempt, AttemptEvent.RETURN),
        job,
        (NewEvent(now, "returned", detail, job),),
        started_at=snapshot.started_at or now,
        supersedes=supersedes,
    )


def _finished(key: AttemptId, snapshot: Snapshot, change: Finished, now: float) -> Decision:
    ended = change.ended
    started, events = snapshot.started_at, []
    if started is None and ended.started_at is not None:
        # Of a short job, no start is reported but by its end; or that report was lost.
        started = _within(ended.started_at, snapshot, now)
        process = next((step.detail for step in ended.steps if step.what == _SPAWNED), "")
        job = advance_job(snapshot.job, JobEvent.START)
        events.append(NewEvent(started, "started", process, job))
    at = max(_within(ended.ended_at, snapshot, now), started or 0.0)
    end = End(
        at,
        ended.exit_code,
        ended.end_reason,
        ended.end_detail,
        ended.usage,
        ended.size,
        None if change.torn else ended.checksum,
    )
    for step in ended.steps:
        # A start that is told says who was spawned then.
        if step.what != _SPAWNED or step.at != started:
            events.append(
                NewEvent(_within(step.at, snapshot, now), step.what, step.detail, None, True)
            )
    if change.torn:
        events.append(NewEvent(at, "log_incomplete", change.torn))
    return _over(key, snapshot, end, AttemptEvent.END, tuple(events), started)


def _over(
    key: AttemptId,
    snapshot: Snapshot,
    end: End,
    event: AttemptEvent,
    steps: tuple[NewEvent, ...],
    started_at: float | None = None,
) -> Decision:
    """The attempt is over: does the job end, and how, or does it get another attempt?"""
    attempt = advance_attempt(snapshot.attempt, event)
    if end.reason is EndReason.EXIT and end.exit_code == 0:
        return _final(snapshot, attempt, JobEvent.SUCCEED, end, end, steps, started_at)
    if snapshot.cancelled and end.reason in {EndReason.CANCELLED, EndReason.LOST}:
        job_end = end
        if end.reason is EndReason.LOST:
            job_end = End(end.at, None, EndReason.CANCELLED, _cancel_text(snapshot, end.detail))
        return _final(snapshot, attempt, JobEvent.CANCEL, end, job_end, steps, started_at)
    policy = snapshot.policy
    if (
        end.reason in policy.retry_on
        and snapshot.tries < policy.max_attempts
        and not snapshot.cancelled
    ):
        return _retry(key, snapshot, attempt, end, steps, started_at)
    if end.reason is EndReason.CANCELLED:
        return _final(snapshot, attempt, JobEvent.CANCEL, end, end, steps, started_at)
    return _final(snapshot, attempt, JobEvent.FAIL, end, end, steps, started_at)


def _retry(
    key: AttemptId,
    snapshot: Snapshot,
    attempt: AttemptState,
    end: End,
    steps: tuple[NewEvent, ...],
    started_at: float | None,
) -> Decision:
    wait = snapshot.policy.backoff(max(1, snapshot.tries))
    job = advance_job(snapshot.job, JobEvent.RETRY)
    detail = (
        f"attempt {snapshot.tries + 1} of {snapshot.policy.max_attempts} "
        f"follows in {format_duration(wait)}"
    )
    events = (
        *steps,
        NewEvent(end.at, str(attempt), _end_text(end)),
        NewEvent(end.at, "retry", detail, job),
    )
    return Decision(attempt, job, events, started_at=started_at, end=end, not_before=end.at + wait)


def _final(
    snapshot: Snapshot,
    attempt: AttemptState,
    event: JobEvent,
    end: End | None,
    job_end: End,
    steps: tuple[NewEvent, ...],
    started_at: float | None = None,
) -> Decision:
    job = advance_job(snapshot.job, event)
    what = str(attempt) if end is not None else str(job_end.reason)
    ended = NewEvent(job_end.at, what, _end_text(job_end), job)
    return Decision(attempt, job, (*steps, ended), started_at=started_at, end=end, job_end=job_end)


def _end_text(end: End) -> str:
    code = "" if end.exit_code is None else f", exit code {end.exit_code}"
    return f"{end.reason}{code}" + (f": {end.detail}" if end.detail else "")


def _cancel_text(snapshot: Snapshot, circumstance: str) -> str:
    said = f" ({snapshot.cancel_detail})" if snapshot.cancel_detail else ""
    return f"cancelled{said}: {circumstance}"
