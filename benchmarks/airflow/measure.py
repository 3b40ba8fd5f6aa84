"""One round of one side."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import Any, Final

import httpx

from benchmarks.airflow import figures
from benchmarks.airflow.sides import Place, Side, tree_memory
from benchmarks.bed import tree_seconds
from benchmarks.pair import Figures
from tests.support.stack import until

TICKS: Final = 100
BIG: Final = 20_000_000
LINE: Final = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
_LONG: Final = 600.0


def tasks(place: Place, run: str) -> list[dict[str, Any]]:
    """The task instances of a run, none of which ran twice."""
    found = list(place.airflow.tasks(run).values())
    assert all(task["try_number"] == 1 for task in found), found
    return found


def latency(place: Place, side: Side, number: int) -> Figures:
    """Tasks one after another, at moments that have nothing to do with anybody's polling."""
    found = []
    for _ in range(number):
        time.sleep(random.uniform(0, 3))
        run = place.airflow.trigger(f"{side.name}_one")
        place.airflow.ends(run)
        (task,) = tasks(place, run)
        found += figures.waits([task])
        if side is place.remote:
            place.dispatched.append(
                place.remote.process_of(run) - figures.moment(task["queued_when"])
            )
    return figures.spread(found, figures.QUEUED, figures.QUEUED_P95)


def many(place: Place, side: Side) -> Figures:
    """More tasks than slots."""
    worker, central = tree_seconds(side.worker.pid), place.central_cpu() + side.central_cpu()
    run = place.airflow.trigger(f"{side.name}_many")
    place.airflow.ends(run, deadline=_LONG)
    found = tasks(place, run)
    # The last ones still say goodbye.
    time.sleep(2)
    return {
        figures.RATE: len(found) / figures.span(found),
        figures.WORKER_CPU: (tree_seconds(side.worker.pid) - worker) / len(found),
        figures.CENTRAL_CPU: (place.central_cpu() + side.central_cpu() - central) / len(found),
    }


def lag(place: Place, side: Side) -> Figures:
    """Five lines a second, seen at Airflow's own end point, which is asked all the time."""
    airflow = place.airflow
    run = airflow.trigger(f"{side.name}_ticks", ticks=TICKS)
    until(lambda: place.started(run) == 1, "the task runs", _LONG)
    seen: dict[int, float] = {}
    while len(seen) < TICKS:
        text = airflow.log(run, "one")
        now = time.time()
        for number, at in figures.ticks(text).items():
            seen.setdefault(number, now - at)
    airflow.ends(run)
    return figures.spread(list(seen.values()), figures.LAG, figures.LAG_P95, figures.LAG_MOST)


def big(place: Place, side: Side) -> tuple[Figures, int]:
    """A task that prints 20 MB at once: when all of it is in Airflow, and the lines that are not
    there a minute after its end."""
    cpu = tree_seconds(side.worker.pid)
    airflow = place.airflow
    run = airflow.trigger(f"{side.name}_big", bytes=BIG)
    airflow.ends(run, deadline=_LONG)
    (task,) = tasks(place, run)
    spent = tree_seconds(side.worker.pid) - cpu
    expected, ends = BIG // (len(LINE) + 1), time.time() + 60
    while True:
        begun = time.time()
        lost = expected - lines_at_end_point(place, run)
        if lost <= 0 or begun > ends:
            break
    took = time.time() - figures.moment(task["queued_when"])
    return {figures.BIG: took, figures.BIG_CPU: spent}, lost


def lines_at_end_point(place: Place, run: str) -> int:
    """How many of the lines Airflow's end point has, read as a stream."""
    airflow = place.airflow
    path = f"{airflow.url}/api/v2{run}/taskInstances/one/logs/1"
    headers = {"Accept": "application/x-ndjson", **airflow.authorization()}
    with httpx.stream("GET", path, headers=headers, timeout=_LONG) as answer:
        answer.raise_for_status()
        return lines_in(answer.iter_bytes())


def lines_in(pieces: Iterable[bytes]) -> int:
    """How often the line of the big task is in a text that comes in pieces."""
    found, rest = 0, b""
    for piece in pieces:
        rest += piece
        found += rest.count(LINE)
        # None is counted twice, and none is lost where the text is cut.
        at = rest.rfind(LINE)
        rest = rest[at + len(LINE) :] if at >= 0 else rest
        rest = rest[1 - len(LINE) :]
    return found


def busy(place: Place, side: Side) -> Figures:
    """Eight tasks that wait."""
    run = place.airflow.trigger(f"{side.name}_eight")

    def all_run() -> bool:
        states = [task["state"] for task in place.airflow.tasks(run).values()]
        return states.count("running") == 8

    until(all_run, "eight tasks run", 60)
    used, spent = idle(side, 5)
    place.airflow.ends(run)
    return {figures.BUSY_MEMORY: used, figures.BUSY_CPU: spent}


def idle(side: Side, seconds: float) -> tuple[float, float]:
    """MiB of the worker and all below it, and percent of a core."""
    before, begun = tree_seconds(side.worker.pid), time.monotonic()
    time.sleep(seconds)
    spent = (tree_seconds(side.worker.pid) - before) / (time.monotonic() - begun)
    return tree_memory(side.worker.pid), 100 * spent
