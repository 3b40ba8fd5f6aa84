"""Small charts as numbers."""

from __future__ import annotations

import pytest

from remote_server.web.pages import charts


def test_bars_fill_the_width_and_leave_out_nothing() -> None:
    found = charts.bars([0, 2, 4, 1])
    assert found.most == 4
    assert [(bar.x, bar.height, bar.y) for bar in found.bars] == [
        (28.0, 36.0, 36.0),
        (53.0, 72.0, 0.0),
        (78.0, 18.0, 54.0),
    ]
    assert charts.bars([]).bars == ()


def test_an_area_begins_where_something_is_known() -> None:
    whole = charts.area([0, 5])
    assert (whole.points, whole.begins, whole.most) == ("0.00,72.0 100.00,2.0", "0.00", 5)
    part = charts.area([5, 5], of=5)
    assert (part.points, part.begins) == ("75.00,2.0 100.00,2.0", "75.00")


def test_shares_are_parts_of_their_sum() -> None:
    found = charts.shares([("ok", 3), ("stale", 0), ("off", 1)])
    assert [(part.kind, part.x, part.width) for part in found] == [
        ("ok", 0.0, 74.65),
        ("off", 75.0, 24.65),
    ]
    assert charts.shares([("ok", 0)]) == []


@pytest.mark.parametrize(
    ("value", "edge"), [(0, 1), (1, 1), (3, 4), (5, 5), (7, 8), (9, 10), (11, 20), (81, 100)]
)
def test_an_edge_is_a_round_number(value: float, edge: int) -> None:
    assert charts.nice(value) == edge


def test_values_are_put_together() -> None:
    assert charts.grouped([9, 1, 3, 5, 7], 2) == [2.0, 6.0]


def test_a_chart_shows_more_the_longer_is_counted() -> None:
    assert charts.minutes_shown(60) == (60, 1)
    assert charts.minutes_shown(2 * 3600) == (180, 3)
    assert charts.minutes_shown(9 * 3600) == (360, 5)


def test_a_line_has_gaps_where_nothing_is_known() -> None:
    values = [(3600.0, 0.0), (3570.0, 100.0), (1800.0, 50.0), (1770.0, None), (0.0, 150.0)]
    found = charts.line(values, 3600.0, 180.0)
    assert found is not None
    assert found.pieces == (
        ("0.00,72.0 0.83,2.0", "0.00", "0.83"),
        ("50.00,37.0", "50.00", "50.00"),
        ("100.00,2.0", "100.00", "100.00"),
    )
    assert found.now == 150.0
    assert charts.line([(1.0, None)], 3600.0, 180.0) is None
