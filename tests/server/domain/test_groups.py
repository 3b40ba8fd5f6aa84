"""How far a group is, and what its limits allow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remote_protocol.api.groups import GroupState
from remote_protocol.states import JobState
from remote_server.domain.groups import Group, judged, may_start, moved, why_held, why_stopped

QUEUED, ASSIGNED, RUNNING = JobState.QUEUED, JobState.ASSIGNED, JobState.RUNNING
SUCCEEDED, FAILED, CANCELLED = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED


def group(*states: JobState, parallel: int | None = None, halt: int | None = None) -> Group:
    counts = {state: states.count(state) for state in JobState}
    return judged(Group("g", "q", None, 0.0, {}, False, parallel, halt, counts), 1.0)


def test_a_place_is_taken_by_what_agents_hold() -> None:
    found = group(QUEUED, QUEUED, ASSIGNED, RUNNING, parallel=3)
    assert (found.size, found.in_flight, found.room) == (4, 2, 1)
    assert may_start(found)
    full = moved(found, QUEUED, ASSIGNED, 2.0)
    assert not may_start(full) and full.room == 0
    assert may_start(moved(full, RUNNING, SUCCEEDED, 3.0))
    assert may_start(moved(full, ASSIGNED, QUEUED, 3.0)), "it came back"
    assert group(QUEUED, RUNNING).room is None
    assert group(RUNNING, RUNNING, parallel=1).room == 0, "one came back unexpectedly"


def test_it_halts_when_so_many_have_failed() -> None:
    found = group(QUEUED, RUNNING, RUNNING, halt=2)
    found = moved(found, RUNNING, FAILED, 2.0)
    assert may_start(found)
    found = moved(found, RUNNING, FAILED, 3.0)
    assert (found.halted_at, may_start(found), found.ended_at) == (3.0, False, None)
    assert why_stopped(found) == (
        "its group was halted: 2 jobs of its group had failed (halt_on_failures 2)"
    )
    ended = moved(found, QUEUED, CANCELLED, 4.0)
    assert (ended.halted_at, ended.ended_at, ended.state) == (3.0, 4.0, GroupState.FAILED)


def test_a_failure_halts_also_what_waits_again_later() -> None:
    found = moved(group(RUNNING, RUNNING, halt=1), RUNNING, FAILED, 2.0)
    assert found.halted_at is None, "nothing waits"
    assert moved(found, RUNNING, QUEUED, 3.0).halted_at == 3.0


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ((SUCCEEDED, SUCCEEDED), GroupState.SUCCEEDED),
        ((SUCCEEDED, FAILED), GroupState.FAILED),
        ((SUCCEEDED, CANCELLED), GroupState.FAILED),
        ((SUCCEEDED, RUNNING), GroupState.RUNNING),
        ((SUCCEEDED, QUEUED), GroupState.RUNNING),
    ],
)
def test_states(states: tuple[JobState, ...], wanted: GroupState) -> None:
    assert group(*states).state is wanted


def test_a_cancelled_group_in_which_all_succeeded_has_succeeded() -> None:
    wished = replace(group(RUNNING), cancel_requested_at=1.0)
    assert moved(wished, RUNNING, SUCCEEDED, 2.0).state is GroupState.SUCCEEDED
    assert moved(wished, RUNNING, CANCELLED, 2.0).state is GroupState.CANCELLED


def test_why_members_wait() -> None:
    assert why_held(group(QUEUED, RUNNING)) is None
    assert why_held(group(QUEUED, RUNNING, parallel=2)) is None
    assert why_held(group(QUEUED, RUNNING, parallel=1)) == (
        "1 other of its group runs, and no more may at the same time (max_parallel 1)"
    )
    cancelled = replace(group(QUEUED), cancel_requested_at=1.0, cancel_detail="wrong")
    assert why_held(cancelled) == "its group was cancelled: wrong; it is about to be cancelled"


def test_an_end_is_taken_back_when_an_attempt_returns() -> None:
    ended = group(SUCCEEDED)
    assert ended.ended_at == 1.0
    assert judged(replace(ended, counts={**ended.counts, RUNNING: 1}), 2.0).ended_at is None
