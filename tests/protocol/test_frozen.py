"""Frozen values: compared, hashed and replaced like those of frozen dataclasses."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

import pytest

from remote_protocol.frozen import frozen


@frozen
class Point:
    x: int
    names: dict[str, int] = field(default_factory=dict)


@frozen
class Spot:
    x: int
    y: int = 0


def test_they_are_compared_and_hashed_by_their_fields() -> None:
    assert Spot(1) == Spot(1, 0) != Spot(1, 2)
    assert len({Spot(1), Spot(1, 0), Spot(2)}) == 2


def test_each_has_defaults_of_its_own() -> None:
    assert Point(1) == Point(1, {})
    assert Point(1).names is not Point(1).names


def test_another_one_is_made_by_replacing() -> None:
    assert replace(Spot(1, 2), y=3) == Spot(1, 3)


def test_they_are_matched_by_position() -> None:
    match Spot(1, 2):
        case Spot(x, y):
            assert (x, y) == (1, 2)


def test_the_type_checker_keeps_them_unchanged() -> None:
    spot = Spot(1)
    if TYPE_CHECKING:
        # Without its error here, the ignore is one.
        spot.x = 2  # type: ignore[misc]
    assert spot == Spot(1)


def test_they_have_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Spot(1).z = 2  # type: ignore[attr-defined]
