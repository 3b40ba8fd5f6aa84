"""The pauses between tries."""

from __future__ import annotations

from remote_server.export.backoff import LONGEST, Backoff


def test_pauses_grow_to_a_bound_and_end_with_a_success() -> None:
    backoff = Backoff(1.0, lambda: 0.0)
    assert backoff.pause == 0
    pauses = []
    for _ in range(8):
        backoff.result(False)
        pauses.append(backoff.pause)
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST, LONGEST]
    backoff.result(True)
    assert backoff.pause == 0
    backoff.result(False)
    assert backoff.pause == 1


def test_chance_adds_a_quarter_at_the_most() -> None:
    backoff = Backoff(4.0, lambda: 1.0)
    backoff.result(False)
    assert backoff.pause == 5
