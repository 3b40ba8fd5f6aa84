"""Tasks of Airflow beside each other: what is made of its answers, and how outcomes are told."""

from __future__ import annotations

import io
from typing import Any

import pytest

from benchmarks.airflow import figures
from benchmarks.airflow.failures import Outcome
from benchmarks.airflow.measure import LINE, lines_in


def task(queued: str | None, start: str, end: str) -> dict[str, Any]:
    day = "2026-11-27T10:00"
    return {
        "queued_when": queued and f"{day}:{queued}Z",
        "start_date": f"{day}:{start}Z",
        "end_date": f"{day}:{end}Z",
    }


def test_waits_and_span_of_tasks() -> None:
    found = [task("01.000", "01.500", "04.000"), task("00.500", "03.000", "03.500000")]
    assert figures.waits(found) == [0.5, 2.5]
    assert figures.span(found) == 3.5


def test_a_task_that_was_never_queued_is_no_figure() -> None:
    with pytest.raises(ValueError, match="has not run"):
        figures.waits([task(None, "01.000", "02.000")])


def test_lines_that_miss_and_lines_that_came_twice() -> None:
    log = '{"event": "TICK 1 100.5"}\n{"event": "TICK 3 101.000000001"}\n{"event": "TICK 3 101.0"}'
    assert figures.ticks(log) == {1: 100.5, 3: 101.0}
    assert figures.missing(log, 4) == 2
    assert figures.repeated(log) == 1


def test_spread() -> None:
    values = [float(number) for number in range(1, 101)]
    assert figures.spread(values, "m", "p") == {"m": 50.5, "p": 96.0}
    assert figures.spread(values, "m", "p", "x")["x"] == 100.0


@pytest.mark.parametrize("size", [1, 7, len(LINE), 1000, 100_000])
def test_lines_are_counted_however_they_are_cut(size: int) -> None:
    text = io.BytesIO(b"".join(b'{"event":"%s"}\n' % LINE for _ in range(50)) + LINE[:-1])
    assert lines_in(iter(lambda: text.read(size), b"")) == 50


def test_outcomes_are_told() -> None:
    whole = Outcome("success", 61.2, missing=0, repeated=0, ticks=300, starts=1)
    assert whole.words() == "success after 61 s, log whole"
    holes = Outcome("success", 27, missing=133, repeated=0, ticks=150, starts=1)
    assert holes.words() == "success after 27 s, 133 of 150 lines missing"
    bad = Outcome("failed", 304, missing=280, repeated=3, ticks=300, starts=2, back=161)
    assert bad.words() == (
        "failed after 304 s, 20 lines, 3 lines twice, begun 2 times; its name is let in after 161 s"
    )
