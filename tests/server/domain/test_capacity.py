"""Shares are exact, and an agent without places takes nothing."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_server.domain.capacity import Share, exact


@pytest.mark.parametrize("capacity", [1, 2, 3, 6, 7, 8, 9, 11, 49, 1000])
def test_as_many_fit_as_the_capacity_says(capacity: int) -> None:
    for weight in (None, 1 / capacity, float(f"{1 / capacity:.15g}")):
        share = Share(capacity)
        count = 0
        while share.fits(weight):
            share.take(weight)
            count += 1
        assert count == capacity
        assert share.full and share.room == 0


def test_weights_are_what_was_meant() -> None:
    assert exact(0.1) == Fraction(1, 10)
    assert exact(1 / 3) == Fraction(1, 3)
    assert exact(1e-9) == Fraction(1, 1_000_000)
    assert exact(1.0) == 1


def test_weights_and_plain_jobs_share_a_class() -> None:
    share = Share(4)
    share.take(0.5)
    assert share.fits(None) and share.fits(0.5) and not share.fits(0.51)
    share.take(None)
    share.take(None)
    assert share.full and not share.fits(None) and not share.fits(0.001)
    assert share.used == 1


def test_a_whole_weight_runs_alone() -> None:
    share = Share(4)
    assert share.fits(1.0)
    share.take(None)
    assert not share.fits(1.0)
    alone = Share(4)
    alone.take(1.0)
    assert not alone.fits(None)


def test_no_capacity_takes_no_job() -> None:
    assert not Share(0).fits(None) and not Share(0).fits(0.01)


@given(capacity=st.integers(1, 12), weights=st.lists(st.one_of(st.none(), st.floats(0.01, 1))))
def test_a_share_never_exceeds_the_whole(capacity: int, weights: list[float | None]) -> None:
    share = Share(capacity)
    for weight in weights:
        if share.fits(weight):
            share.take(weight)
    assert share.used <= 1
    assert abs(share.load - float(share.used)) < 1e-9
