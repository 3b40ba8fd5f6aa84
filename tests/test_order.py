"""The order of the tests of several workers."""

from __future__ import annotations

from tests.support.order import long_first

SHORT, LONG = "tests/server/test_x.py", "tests/e2e/test_{}.py"


def test_each_worker_begins_with_what_takes_long() -> None:
    files = [SHORT] * 10 + [LONG.format(1)] * 2 + [LONG.format(2)] * 2 + [SHORT] * 10
    order = long_first(files, 2)
    assert sorted(order) == list(range(24))
    parts = [[files[index] for index in part] for part in (order[:12], order[12:])]
    assert parts == [[LONG.format(number)] * 2 + [SHORT] * 10 for number in (1, 2)]


def test_a_file_stays_together() -> None:
    files = [LONG.format(1)] * 3 + [LONG.format(2)] + [LONG.format(3)] + [SHORT] * 4
    assert long_first(files, 3)[:3] == [0, 1, 2]


def test_more_long_tests_than_a_share_are_all_run() -> None:
    files = [LONG.format(1)] * 9 + [SHORT]
    assert sorted(long_first(files, 3)) == list(range(10))


def test_one_worker_runs_them_as_they_are() -> None:
    assert long_first([SHORT, LONG, SHORT], 1) == [0, 1, 2] and long_first([], 4) == []
