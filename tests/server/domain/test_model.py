"""The shared types: keys, and what their defaults mean."""

from __future__ import annotations

from remote_protocol.states import AttemptState
from remote_server.domain.model import Attempt, Commit, Key


def test_a_key_is_shown_as_job_and_attempt() -> None:
    assert str(Key("01J", 3)) == "01J.3"
    assert Attempt("01J", 3, "a", AttemptState.OFFERED, 0.0).key == Key("01J", 3)


def test_an_empty_commit_is_nothing_to_tell() -> None:
    assert Commit() == Commit(frozenset(), frozenset(), False, frozenset(), {}, {})
    assert Commit(waiting={"d": 1}) != Commit()
