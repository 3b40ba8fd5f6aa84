"""One line of a kind in a while; the rest is counted."""

from __future__ import annotations

from remote_server.throttle import Throttle


def test_one_line_in_an_interval_and_then_the_count() -> None:
    throttle = Throttle(10.0)
    assert throttle.take("a", 100.0) == 0
    assert [throttle.take("a", 100.0 + n) for n in range(9)] == [None] * 9
    assert throttle.take("a", 110.0) == 9
    assert throttle.take("a", 111.0) is None


def test_kinds_do_not_know_each_other_and_are_bounded() -> None:
    throttle = Throttle(10.0, most=2)
    assert throttle.take("a", 0.0) == 0
    assert throttle.take("b", 0.0) == 0
    assert throttle.take("a", 1.0) is None
    assert throttle.take("c", 1.0) == 0
    assert len(throttle._kinds) == 2
