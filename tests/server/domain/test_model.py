"""The shared types: keys, and what their defaults mean."""

from __future__ import annotations

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState
from remote_server.domain.model import SYSTEM, Attempt, Principal


def test_a_key_is_shown_as_job_and_attempt() -> None:
    assert str(AttemptId("01J", 3)) == "01J.3"
    assert Attempt("01J", 3, "a", AttemptState.OFFERED, 0.0).key == AttemptId("01J", 3)


def test_only_the_bearer_of_a_token_is_stored_as_a_principal() -> None:
    assert Principal("01J", "alice", "10.0.0.1").text == "01J alice"
    assert SYSTEM.text is None
