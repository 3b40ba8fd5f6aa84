"""The session's inputs: immutable, all of them handled."""

from __future__ import annotations

from typing import get_args

import pytest

from remote_agent.session import events
from remote_agent.session.events import (
    ConditionChanged,
    Event,
    InputEnded,
    LinkClosed,
    LinkOpened,
    OfferStored,
    Tick,
)
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Condition, Refusal


def test_every_event_is_in_the_union() -> None:
    defined = {
        thing
        for thing in vars(events).values()
        if isinstance(thing, type) and thing.__module__ == events.__name__
    }
    assert set(get_args(Event)) == defined


@pytest.mark.parametrize("event", get_args(Event))
def test_events_cannot_be_changed(event: type) -> None:
    assert event.__doc__
    assert issubclass(event, tuple)


def test_a_key_reads_as_job_and_number() -> None:
    assert str(AttemptId("01ARYZ6S410000000000000000", 2)) == "01ARYZ6S410000000000000000.2"


def test_events_compare_by_what_they_say() -> None:
    assert LinkOpened("a") == LinkOpened("a") != LinkOpened("b")
    assert Tick() == Tick()


def test_events_of_two_kinds_differ_whatever_they_say() -> None:
    key = AttemptId("01ARYZ6S410000000000000000", 2)
    kinds: list[tuple[object, ...]] = [Tick(), LinkClosed(), (), OfferStored(key), InputEnded(key)]
    for index, one in enumerate(kinds):
        assert [place for place, other in enumerate(kinds) if other == one] == [index]
    assert len(set(kinds)) == len(kinds)


def test_a_condition_refuses_as_paused_unless_said() -> None:
    assert ConditionChanged(Condition(accepting=False)).refusal is Refusal.PAUSED
