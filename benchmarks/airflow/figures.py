"""What is made of what Airflow answers. Pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from benchmarks.bed import quantile

QUEUED: Final = "queued → running, median, s"
QUEUED_P95: Final = "queued → running, p95, s"
RATE: Final = "tasks a second"
WORKER_CPU: Final = "CPU a task, worker and tasks, s"
CENTRAL_CPU: Final = "CPU a task, central, s"
LAG: Final = "lag of a line, median, s"
LAG_P95: Final = "lag of a line, p95, s"
LAG_MOST: Final = "lag of a line, longest, s"
BIG: Final = "big log: queued → whole, s"
BIG_CPU: Final = "big log: CPU of the worker, s"
IDLE_MEMORY: Final = "worker idle, PSS, MiB"
IDLE_CPU: Final = "worker idle, CPU, % of a core"
BUSY_MEMORY: Final = "worker with 8 tasks, PSS, MiB"
BUSY_CPU: Final = "worker with 8 tasks, CPU, % of a core"
AIMS: Final = {
    RATE: "≥ 2",
    WORKER_CPU: "≤ 0.7",
    LAG_MOST: "≤ 0.3 s",
    BIG: "≤ 0.3",
}
_TICK: Final = re.compile(r"TICK (\d+) (\d+\.\d+)")


def moment(text: str | None) -> float:
    """A time of Airflow's API as Unix seconds."""
    if text is None:
        raise ValueError("Airflow does not say when: the task has not run")
    return datetime.fromisoformat(text).timestamp()


def waits(tasks: Iterable[dict[str, Any]]) -> list[float]:
    """Seconds of each task from `queued` to `running`."""
    return [moment(task["start_date"]) - moment(task["queued_when"]) for task in tasks]


def span(tasks: Sequence[dict[str, Any]]) -> float:
    """Seconds from the moment when the first task was queued until the last one ended."""
    first = min(moment(task["queued_when"]) for task in tasks)
    return max(moment(task["end_date"]) for task in tasks) - first


def ticks(log: str) -> dict[int, float]:
    """When a task wrote each of its numbered lines."""
    return {int(number): float(at) for number, at in _TICK.findall(log)}


def missing(log: str, expected: int) -> int:
    """How many numbered lines are not there."""
    return len(set(range(1, expected + 1)) - ticks(log).keys())


def repeated(log: str) -> int:
    """How many numbered lines are there more than once."""
    return len(_TICK.findall(log)) - len(ticks(log))


def spread(values: Sequence[float], median: str, p95: str, most: str = "") -> dict[str, float]:
    """The figures of these names."""
    found = {median: statistics.median(values), p95: quantile(values, 0.95)}
    return found | ({most: max(values)} if most else {})
