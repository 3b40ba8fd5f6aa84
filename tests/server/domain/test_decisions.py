"""What reports mean: the table of ends, retries, stale reports, clocks that are wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended, Step
from remote_protocol.states import AttemptState, EndReason, JobState
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
from remote_server.domain.decisions import MOST_REFUSALS, Decision, Snapshot, decide
from remote_server.domain.demand import Policy
from remote_server.errors import Stale

KEY = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1)
NOW = 1000.0
RUNNING = Snapshot(
    job=JobState.RUNNING,
    current=1,
    used=1,
    policy=Policy(),
    cancelled=False,
    cancel_detail="",
    expires_at=None,
    agent="a",
    attempt=AttemptState.RUNNING,
    started_at=910.0,
    since=910.0,
    tries=1,
)
OFFERED = replace(
    RUNNING,
    job=JobState.ASSIGNED,
    attempt=AttemptState.OFFERED,
    started_at=None,
    since=900.0,
)


def ended(code: int | None, reason: EndReason, **fields: object) -> Finished:
    values = {"ended_at": 990.0, "size": 5, "checksum": 1, **fields}
    return Finished(
        KEY,
        Ended.model_validate(
            {
                "attempt": KEY,
                "exit_code": code,
                "end_reason": reason,
                "end_detail": "d",
                **values,
            }
        ),
    )


def decided(snapshot: Snapshot, change: Change, agent: str = "a") -> Decision:
    found = decide(KEY, agent, snapshot, change, NOW)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("code", "reason", "cancelled", "state"),
    [
        (0, EndReason.EXIT, False, JobState.SUCCEEDED),
        (3, EndReason.EXIT, False, JobState.FAILED),
        (137, EndReason.SIGNAL, False, JobState.FAILED),
        (137, EndReason.MEMORY_LIMIT, False, JobState.FAILED),
        (143, EndReason.TIMEOUT, False, JobState.FAILED),
        (127, EndReason.SPAWN_ERROR, False, JobState.FAILED),
        (None, EndReason.LOST, False, JobState.FAILED),
        (143, EndReason.CANCELLED, False, JobState.CANCELLED),
        (143, EndReason.CANCELLED, True, JobState.CANCELLED),
        (0, EndReason.CANCELLED, True, JobState.CANCELLED),
        # A cancel that came too late: the job ended by itself.
        (0, EndReason.EXIT, True, JobState.SUCCEEDED),
        (3, EndReason.EXIT, True, JobState.FAILED),
        (None, EndReason.LOST, True, JobState.CANCELLED),
    ],
)
def test_the_end_of_the_only_attempt(
    code: int | None, reason: EndReason, cancelled: bool, state: JobState
) -> None:
    found = decided(replace(RUNNING, cancelled=cancelled), ended(code, reason))
    assert found.job is state
    assert found.attempt is AttemptState.ENDED
    assert found.end is not None and found.job_end is not None
    assert (found.end.exit_code, found.end.reason, found.end.log_size) == (code, reason, 5)
    if not (cancelled and reason is EndReason.LOST):
        assert found.job_end == found.end
    else:
        assert found.job_end.reason is EndReason.CANCELLED
    assert [event.state for event in found.events] == [state]


@pytest.mark.parametrize("reason", [r for r in EndReason if r is not EndReason.EXPIRED])
def test_another_attempt_is_made_for_the_reasons_that_were_named(reason: EndReason) -> None:
    policy = Policy(max_attempts=3, retry_on=(reason,), retry_backoff=4.0)
    found = decided(replace(RUNNING, policy=policy, used=2, tries=2), ended(1, reason))
    assert (found.job, found.not_before, found.job_end) == (JobState.QUEUED, 998.0, None)
    assert [event.what for event in found.events] == ["ended", "retry"]
    assert found.events[1].detail == "attempt 3 of 3 follows in 8s"
    for snapshot in (
        replace(RUNNING, policy=policy, used=3, tries=3),
        replace(RUNNING, policy=policy, cancelled=True),
        replace(RUNNING, policy=policy._replace(retry_on=())),
    ):
        assert decided(snapshot, ended(1, reason)).job.terminal


def test_success_is_never_repeated() -> None:
    policy = Policy(max_attempts=9, retry_on=(EndReason.EXIT,))
    found = decided(replace(RUNNING, policy=policy), ended(0, EndReason.EXIT))
    assert found.job is JobState.SUCCEEDED


def test_an_offer_that_was_not_taken_leaves_no_trace_but_in_the_timeline() -> None:
    found = decided(OFFERED, Withdrawn(KEY, "full"))
    assert (found.job, found.attempt, found.not_before) == (
        JobState.QUEUED,
        AttemptState.WITHDRAWN,
        None,
    )
    assert [(event.what, event.detail, event.state) for event in found.events] == [
        ("withdrawn", "full", JobState.QUEUED)
    ]
    late = decided(replace(OFFERED, expires_at=NOW), Withdrawn(KEY, "full"))
    assert late.job is JobState.FAILED
    assert late.job_end is not None and late.job_end.reason is EndReason.EXPIRED
    cancelled = decided(
        replace(OFFERED, cancelled=True, cancel_detail="why"), Withdrawn(KEY, "full")
    )
    assert cancelled.job is JobState.CANCELLED
    assert cancelled.job_end is not None
    assert cancelled.job_end.detail == "cancelled (why): before it started"
    for found in (late, cancelled):
        assert [event.state for event in found.events if event.state] == [found.job]


def test_a_refusal_by_policy_is_final() -> None:
    found = decided(OFFERED, Rejected(KEY, "not here"))
    assert found.job is JobState.FAILED
    assert found.job_end is not None
    assert (found.job_end.reason, found.job_end.detail) == (EndReason.REJECTED, "not here")


def test_times_of_wrong_clocks_are_shown_inside_what_is_known() -> None:
    accepted = replace(OFFERED, attempt=AttemptState.ACCEPTED, since=905.0)
    assert decided(accepted, Running(KEY, 1, 950.0)).started_at == 950.0
    assert decided(accepted, Running(KEY, 1, 5.0)).started_at == 905.0
    assert decided(accepted, Running(KEY, 1, 1e12)).started_at == NOW
    steps = [Step(at=0.0, what="interrupt"), Step(at=1e11, what="kill")]
    found = decided(RUNNING, ended(1, EndReason.TIMEOUT, ended_at=1e11, steps=steps))
    assert [(event.what, event.at, event.from_agent) for event in found.events] == [
        ("interrupt", 910.0, True),
        ("kill", NOW, True),
        ("ended", NOW, False),
    ]
    early = decided(accepted, ended(0, EndReason.EXIT, started_at=960.0, ended_at=950.0))
    assert early.started_at == 960.0
    assert early.end is not None and early.end.at == 960.0


def test_an_end_says_the_start_that_nobody_reported() -> None:
    accepted = replace(OFFERED, attempt=AttemptState.ACCEPTED)
    steps = [Step(at=960.0, what="spawned", detail="process 7"), Step(at=970.0, what="swept")]
    change = ended(0, EndReason.EXIT, started_at=960.0, steps=steps)
    found = decided(accepted, change)
    assert [(event.what, event.detail, event.state) for event in found.events] == [
        ("started", "process 7", JobState.RUNNING),
        ("swept", "", None),
        ("ended", "exit, exit code 0: d", JobState.SUCCEEDED),
    ]
    assert (found.events[0].at, found.events[0].from_agent) == (960.0, False)
    unstarted = decided(accepted, ended(None, EndReason.SPAWN_ERROR))
    assert [event.what for event in unstarted.events] == ["ended"]
    assert unstarted.started_at is None


def test_a_spawn_that_is_the_start_is_told_once() -> None:
    steps = [Step(at=910.0, what="spawned", detail="process 7"), Step(at=910.0, what="kill")]
    known = decided(RUNNING, ended(1, EndReason.EXIT, started_at=910.0, steps=steps))
    assert [event.what for event in known.events] == ["kill", "ended"]
    returned = replace(RUNNING, started_at=930.0)
    other = decided(returned, ended(1, EndReason.EXIT, started_at=910.0, steps=steps))
    assert [event.what for event in other.events] == ["spawned", "kill", "ended"]


def test_what_others_say_is_stale() -> None:
    for change in (Accepted(KEY), Running(KEY, 1, NOW), Lost(KEY, ""), Returned(KEY)):
        with pytest.raises(Stale, match="held by agent 'a', not by 'b'"):
            decide(KEY, "b", RUNNING, change, NOW)


def test_the_end_of_a_cancelled_jobs_words() -> None:
    snapshot = replace(RUNNING, cancelled=True, cancel_detail="enough")
    found = decided(snapshot, Lost(KEY, "silent for 70s"))
    assert found.attempt is AttemptState.LOST
    assert found.job_end is not None
    assert found.job_end.detail == "cancelled (enough): silent for 70s"


CHANGES = st.sampled_from(
    [
        Accepted(KEY),
        Running(KEY, 7, 950.0),
        Withdrawn(KEY, "w"),
        Rejected(KEY, "r"),
        Lost(KEY, "l"),
        Returned(KEY),
        *(ended(code, reason) for code in (0, 1) for reason in EndReason),
    ]
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    attempt = draw(st.sampled_from(AttemptState))
    current = draw(st.integers(1, 3))
    if attempt.live:
        offered = attempt is not AttemptState.RUNNING
        job = JobState.ASSIGNED if offered else JobState.RUNNING
        current = 1
    else:
        job = draw(st.sampled_from(JobState))
    return Snapshot(
        job=job,
        current=current,
        used=draw(st.integers(current, 4)),
        policy=Policy(
            max_attempts=draw(st.integers(1, 4)),
            retry_on=tuple(draw(st.lists(st.sampled_from(EndReason), unique=True))),
            keep_first=draw(st.booleans()),
        ),
        cancelled=draw(st.booleans()),
        cancel_detail="",
        expires_at=draw(st.sampled_from([None, 1.0, 2000.0])),
        agent="a",
        attempt=attempt,
        started_at=draw(st.sampled_from([None, 920.0])),
        since=920.0,
        tries=draw(st.integers(0, 4)),
    )


@given(snapshot=snapshots(), change=CHANGES)
def test_whatever_is_said_the_rules_hold(snapshot: Snapshot, change: Change) -> None:
    try:
        found = decide(KEY, "a", snapshot, change, NOW)
    except Stale:
        assert not snapshot.attempt.live or isinstance(change, Withdrawn | Returned)
        return
    if found is None:
        return
    moved = found.job is not snapshot.job or found.supersedes or isinstance(change, Returned)
    if snapshot.job.terminal:
        assert not moved  # I3
    stated = [event.state for event in found.events if event.state is not None]
    assert stated == ([found.job] if moved else [])
    assert (found.job_end is not None) == (found.job.terminal and not snapshot.job.terminal)
    assert not found.attempt.live or found.job in {JobState.ASSIGNED, JobState.RUNNING} or not moved
    if found.not_before is not None:
        assert found.job is JobState.QUEUED and snapshot.tries < snapshot.policy.max_attempts
    assert all(snapshot.since <= event.at <= NOW for event in found.events)
    # Said again, it changes nothing, or is refused.
    after = replace(
        snapshot,
        job=found.job,
        attempt=found.attempt,
        started_at=found.started_at or snapshot.started_at,
    )
    try:
        again = decide(KEY, "a", after, change, NOW)
    except Stale:
        return
    assert again is None


def test_what_comes_back_again_and_again_waits_and_ends() -> None:
    waits, told = [], 0
    for count in range(MOST_REFUSALS - 1):
        back = Withdrawn(KEY, "a refused it (disk): no room", refused=True)
        found = decided(replace(OFFERED, refusals=count), back)
        assert (found.job, found.refusal) == (JobState.QUEUED, back.detail)
        waits.append(0.0 if found.not_before is None else found.not_before - NOW)
        told += len(found.events)
    assert waits[:6] == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0]
    assert waits == sorted(waits) and waits[-1] == 60.0
    assert told < 10, "a timeline is bounded whatever agents do"
    last = decided(replace(OFFERED, refusals=MOST_REFUSALS - 1), back)
    assert last.job is JobState.FAILED
    assert last.job_end is not None and last.job_end.reason is EndReason.REJECTED
    assert last.job_end.detail == "it came back 50 times, the last: a refused it (disk): no room"
    # A link that is lost is no refusal: the job waits, and does not end by it.
    lost = decided(replace(OFFERED, refusals=999), Withdrawn(KEY, "the link to a was lost"))
    assert lost.job is JobState.QUEUED
    assert lost.not_before == NOW + 60.0


def test_an_acceptance_tells_what_was_left_out_of_the_timeline() -> None:
    events = decided(replace(OFFERED, refusals=20), Accepted(KEY)).events
    assert [event.what for event in events] == ["assigned", "accepted"]
    assert [n.what for n in decided(replace(OFFERED, refusals=2), Accepted(KEY)).events] == [
        "accepted"
    ]
