"""What may be done with a thing: by role, and by its state."""

from __future__ import annotations

import pytest

from remote_protocol.ids import Role
from remote_protocol.states import TERMINAL, JobState
from remote_server.domain.allowed_actions import on_agent, on_job, on_queue, on_token

OPERATOR, ADMIN = Role.OPERATOR, Role.ADMIN


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_whoever_only_looks_may_do_nothing(role: Role | None) -> None:
    assert [on_job(role, state, False) for state in JobState] == [[]] * len(JobState)
    assert on_agent(role, True, True, False) == on_queue(role, False, False) == []
    assert on_token(role, False, False) == on_token(OPERATOR, False, False) == []


def test_jobs_are_cancelled_before_their_end_and_repeated_after_it() -> None:
    for role in (OPERATOR, ADMIN):
        for state in set(JobState) - TERMINAL:
            assert on_job(role, state, True) == ["cancel", "submit_again"]
        for state in TERMINAL:
            assert on_job(role, state, False) == ["retry", "submit_again"]
            assert on_job(role, state, True) == ["submit_again"], "its input is gone"


def test_what_an_agent_does_already_is_not_offered() -> None:
    assert on_agent(OPERATOR, False, False, False) == ["pause", "drain"]
    assert on_agent(OPERATOR, True, False, False) == ["resume", "drain"]
    assert on_agent(OPERATOR, False, True, False) == ["resume", "pause"]
    assert on_agent(OPERATOR, True, True, True) == ["resume", "restart"]
    own = ["change", "rotate_token", "delete"]
    assert on_agent(ADMIN, False, False, False) == ["pause", "drain", *own]


def test_queues_and_tokens() -> None:
    assert on_queue(OPERATOR, False, False) == ["pause", "change"]
    assert on_queue(OPERATOR, False, True) == ["resume", "change"]
    assert on_queue(ADMIN, False, False) == ["pause", "change", "make_default", "delete"]
    assert on_queue(ADMIN, True, False) == ["pause", "change"], "there is always one"
    assert on_token(ADMIN, False, False) == ["revoke"]
    assert on_token(ADMIN, True, False) == on_token(ADMIN, False, True) == []
