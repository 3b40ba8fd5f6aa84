"""What is held for one attempt."""

from __future__ import annotations

from remote_agent.session.attempt import Attempt
from remote_protocol.messages import Phase
from tests.agent.session.talk import SPEC, ended


def test_it_counts_as_open_from_its_disk_to_its_report() -> None:
    attempt = Attempt(SPEC)
    assert not attempt.open
    attempt.phase = Phase.RUNNING
    assert attempt.open
    attempt.finish(ended(size=4))
    assert attempt.open
    attempt.reported = True
    assert not attempt.open
    attempt.rewind(2)
    assert attempt.open
    attempt.doomed = True
    assert not attempt.open


def test_its_size_is_known_at_its_end() -> None:
    attempt = Attempt(SPEC, Phase.RUNNING)
    attempt.cursor.grow(9)
    attempt.finish(ended(size=4))
    assert (attempt.phase, attempt.cursor.size) == (Phase.ENDED, 4)


def test_a_rewind_makes_the_chunk_in_hand_an_old_one() -> None:
    attempt = Attempt(SPEC, Phase.RUNNING, handed=4)
    attempt.cursor.grow(9)
    attempt.rewind(2)
    assert (attempt.handed, attempt.cursor.sent) == (None, 2)
