"""Whose log goes next: each in its turn, none beyond its window, none that has nothing to send."""

from __future__ import annotations

from remote_agent.session.attempt import HeldAttempt
from remote_agent.session.lifecycle import State
from remote_agent.session.send_window import LEAST
from remote_agent.session.turns import Turns
from remote_protocol.limits import MAX_PAYLOAD
from tests.agent.session.talk import KEY, OTHER_KEY, SPEC


def attempts(*sizes: int) -> list[HeldAttempt]:
    made = [HeldAttempt(key, SPEC, State.RUNNING) for key in (KEY, OTHER_KEY)]
    for attempt, size in zip(made, sizes, strict=True):
        attempt.cursor.grow(size)
    return made


def test_attempts_take_turns_until_nothing_is_left() -> None:
    turns, (one, other) = Turns(), attempts(MAX_PAYLOAD + 5, 7)
    held = {KEY: one, OTHER_KEY: other}
    assert turns.join(one) and turns.join(other)
    assert not turns.join(one), "it has its turn already"
    taken = []
    while (piece := turns.take(held)) is not None:
        taken.append((piece.attempt.key, piece.offset, piece.length))
        turns.sent(piece.attempt, piece.length, 1.0)
    assert taken == [(KEY, 0, MAX_PAYLOAD), (OTHER_KEY, 0, 7), (KEY, MAX_PAYLOAD, 5)]


def test_who_has_nothing_to_send_or_may_not_gets_no_turn() -> None:
    turns, (one, other) = Turns(), attempts(0, 9)
    other.state = State.SUPERSEDED
    assert not turns.join(one) and not turns.join(other)
    other.state = State.RUNNING
    assert turns.join(other)
    turns.leave(OTHER_KEY)
    assert turns.take({OTHER_KEY: other}) is None
    assert turns.join(other) and turns.take({}) is None, "it is not held any more"


def test_an_acknowledgement_lets_a_full_window_go_on() -> None:
    turns, (one, _) = Turns(), attempts(2 * LEAST, 0)
    assert turns.join(one)
    while (piece := turns.take({KEY: one})) is not None:
        turns.sent(one, piece.length, 1.0)
    assert one.cursor.sent == LEAST and not turns.join(one)
    one.cursor.ack(LEAST)
    turns.acknowledged(KEY, LEAST, 1.001)
    assert turns.join(one)
