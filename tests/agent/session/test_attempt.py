"""What is held for one attempt."""

from __future__ import annotations

import pytest

from remote_agent.session.attempt import FoundAttempt, HeldAttempt
from remote_agent.session.input_copy import InputCopy
from remote_agent.session.lifecycle import State
from remote_protocol.messages import Phase, Started
from remote_protocol.spec import CommandSpec
from tests.agent.session.talk import KEY, SPEC, ended

STARTED = Started(attempt=KEY, pid=7, at=1.0)


@pytest.mark.parametrize(
    ("state", "phase", "is_open"),
    [
        (State.STORING, None, False),
        (State.WRITTEN, Phase.ACCEPTED, True),
        (State.CONFIRMED, Phase.ACCEPTED, True),
        (State.ACCEPTED, Phase.ACCEPTED, True),
        (State.FOUND, Phase.ACCEPTED, True),
        (State.STARTING, Phase.ACCEPTED, True),
        (State.STOPPING, Phase.ACCEPTED, True),
        (State.SUPERSEDED, Phase.ACCEPTED, False),
    ],
)
def test_before_it_starts(state: State, phase: Phase | None, is_open: bool) -> None:
    attempt = HeldAttempt(KEY, SPEC, state)
    assert (attempt.phase, attempt.open, attempt.over) == (phase, is_open, False)


def test_it_is_open_until_its_end_is_reported() -> None:
    attempt = HeldAttempt(KEY, SPEC, State.RUNNING, started=STARTED)
    assert (attempt.phase, attempt.open) == (Phase.RUNNING, True)
    attempt.finish(ended(size=4))
    attempt.state = State.ENDED
    assert (attempt.phase, attempt.open, attempt.over) == (Phase.ENDED, True, True)
    attempt.state = State.REPORTED
    assert (attempt.phase, attempt.open, attempt.over) == (Phase.ENDED, False, True)


def test_its_size_is_known_at_its_end() -> None:
    attempt = HeldAttempt(KEY, SPEC, State.RUNNING, started=STARTED)
    attempt.cursor.grow(9)
    attempt.finish(ended(size=4))
    assert (attempt.phase, attempt.cursor.size) == (Phase.ENDED, 4)


def test_a_rewind_makes_the_chunk_in_hand_an_old_one() -> None:
    attempt = HeldAttempt(KEY, SPEC, State.RUNNING, in_hand=4)
    attempt.cursor.grow(9)
    attempt.rewind(2)
    assert (attempt.in_hand, attempt.cursor.sent) == (None, 2)


def test_what_was_found_on_the_disk() -> None:
    known = {
        State.FOUND: FoundAttempt(KEY, SPEC, Phase.ACCEPTED, 0),
        State.RUNNING: FoundAttempt(KEY, SPEC, Phase.RUNNING, 5, STARTED),
        State.ENDED: FoundAttempt(KEY, None, Phase.ENDED, 5, STARTED, ended(size=5)),
    }
    for state, found in known.items():
        attempt = HeldAttempt.adopt(found)
        assert (attempt.state, attempt.phase, attempt.cursor.size) == (
            state,
            found.phase,
            found.size,
        )


def test_an_input_is_read_until_its_job_is_over() -> None:
    reads = CommandSpec(command=["cat"], stdin=True)
    attempt = HeldAttempt(KEY, reads, State.RUNNING)
    assert attempt.input == InputCopy() and attempt.reads
    attempt.state = State.SUPERSEDED
    assert not attempt.reads
    assert not HeldAttempt(KEY, SPEC, State.RUNNING).reads
