"""The parts of messages: bounded, frozen, tolerant of what a newer version adds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol import parts
from remote_protocol.attempt_id import AttemptId
from remote_protocol.parts import (
    Assignment,
    Condition,
    DesiredMode,
    InventoryItem,
    Part,
    Ruling,
    Settings,
)

JOB = "01ARYZ6S410000000000000000"
PARTS = [part for part in Part.__subclasses__() if part.__module__ == parts.__name__]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_says_what_it_means(part: type[Part]) -> None:
    assert part.__doc__
    assert part.model_config["frozen"] is True


def test_unknown_fields_are_ignored() -> None:
    assert Condition.model_validate({"accepting": False, "mood": "bad"}) == Condition(
        accepting=False
    )


def test_nothing_is_wished_unless_said() -> None:
    desired = DesiredMode()
    assert not desired.paused
    assert not desired.draining
    assert Condition().accepting


def test_settings_tell_nothing_from_none() -> None:
    assert Settings().queues is None
    assert Settings(queues=[]).queues == []


@pytest.mark.parametrize(
    "capacity", [{"default": -1}, {"default": 10_001}, {"no name": 1}, {"": 1}, {"default": 1.5}]
)
def test_what_is_no_capacity(capacity: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Assignment.model_validate({"queues": [], "capacity": capacity})


def test_a_class_may_have_no_room() -> None:
    assert Assignment(queues=["q"], capacity={"default": 0}).capacity == {"default": 0}


def test_an_attempt_in_a_part_is_one() -> None:
    with pytest.raises(ValidationError):
        InventoryItem.model_validate_json(f'{{"attempt": "{JOB}.0", "phase": "running"}}')


def test_a_ruling_cannot_point_before_the_log() -> None:
    with pytest.raises(ValidationError):
        Ruling.model_validate({"attempt": AttemptId(JOB, 1), "verdict": "keep", "offset": -1})
