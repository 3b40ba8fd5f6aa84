"""Waits before reconnecting: inside a doubling window, never above the longest one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_agent.backoff import FIRST, LONGEST, delay

UNIFORM = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 10**6), UNIFORM)
def test_never_longer_than_the_cap(attempt: int, uniform: float) -> None:
    assert 0 <= delay(attempt, uniform) < LONGEST


@given(st.integers(0, 10**6), UNIFORM, st.floats(1, 3600))
def test_never_longer_than_another_cap(attempt: int, uniform: float, longest: float) -> None:
    assert 0 <= delay(attempt, uniform, longest) < longest


@given(st.integers(0, 5), UNIFORM)
def test_the_window_doubles(attempt: int, uniform: float) -> None:
    assert delay(attempt, uniform) == pytest.approx(FIRST * 2**attempt * uniform)


def test_waits_spread_evenly_over_the_window() -> None:
    waits = [delay(20, number / 1000) for number in range(1000)]
    assert sum(wait < LONGEST / 2 for wait in waits) == 500


@pytest.mark.parametrize(("attempt", "uniform"), [(-1, 0.5), (0, 1.0), (0, -0.1)])
def test_other_arguments_are_refused(attempt: int, uniform: float) -> None:
    with pytest.raises(ValueError, match="failures"):
        delay(attempt, uniform)
