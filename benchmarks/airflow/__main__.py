"""Tasks of a real Airflow by our executor and agent, beside its edge3 provider, in turn.

Usage: python -m benchmarks.airflow [--rounds 3] [--tasks 10] [--only WHAT …]

One deployment of Airflow 3.3 on PostgreSQL has both executors; the DAGs are the same but for the
executor's name. An edge worker with 8 slots and an agent with 8 run beside each other and have work
in turn, both with their defaults. What counts is the ratio within a round: other work on the
machine meets both. WHAT is of: latency, many, lag, big, memory, outage, kill, host.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.airflow import failures, figures, measure
from benchmarks.airflow.sides import Place, Side, place
from benchmarks.bed import quantile
from benchmarks.pair import Figures, compared, turns

MEASURED: Final = ("latency", "many", "lag", "big", "memory")
FAILURES: Final[dict[str, tuple[str, Callable[[Place], list[failures.Outcome]]]]] = {
    "outage": ("the central side is away for 67 s", failures.outage),
    "kill": ("kill -9 of the worker, restarted after 2 s", failures.killed_workers),
    "host": ("kill -9 of the worker and all below it, restarted", failures.lost_hosts),
}


def said(*words: object) -> None:
    """How far it is."""
    print(*words, f"(load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


def burst(place: Place, side: Side, given: argparse.Namespace, lost: list[int]) -> Figures:
    """One of every kind."""
    found: Figures = {}
    if "latency" in given.only:
        found |= measure.latency(place, side, given.tasks)
    if "many" in given.only:
        found |= measure.many(place, side)
    if "lag" in given.only:
        found |= measure.lag(place, side)
    if "memory" in given.only:
        found |= measure.busy(place, side)
        used, spent = measure.idle(side, 20)
        found |= {figures.IDLE_MEMORY: used, figures.IDLE_CPU: spent}
    if "big" in given.only:
        big, missing = measure.big(place, side)
        found |= big
        lost.append(missing)
    said(side.name, {name: round(value, 3) for name, value in found.items()})
    return found


def shown(rows: Sequence[Sequence[str]], *heads: str) -> None:
    """A table."""
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument(
        "--only", nargs="+", choices=(*MEASURED, *FAILURES), default=[*MEASURED, *FAILURES]
    )
    given = parser.parse_args()
    load: list[float] = []
    found: dict[str, list[Figures]] = {"edge": [], "remote": []}
    lost: dict[str, list[int]] = {"edge": [], "remote": []}
    failed: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory(prefix="remote-bench-") as folder, place(Path(folder)) as both:
        said("both are ready")
        sides = {side.name: side for side in both.sides}
        if set(given.only) & set(MEASURED):
            for _, name in turns(list(sides), given.rounds):
                load.append(os.getloadavg()[0])
                found[name].append(burst(both, sides[name], given, lost[name]))
        for what, (title, happens) in FAILURES.items():
            if what in given.only:
                outcomes = [outcome.words() for outcome in happens(both)]
                said(title, outcomes)
                failed.append((title, outcomes[0], outcomes[1]))
    if load:
        print(f"\nload {min(load):.1f}–{max(load):.1f}, {given.rounds} rounds")
        rows = [
            (*row, figures.AIMS.get(row[0], "")) for row in compared(found["edge"], found["remote"])
        ]
        shown(rows, "median (best)", "edge3", "here", "here ÷ edge3 (middle half)", "aim")
        if both.dispatched:
            share = sorted(both.dispatched)
            print(
                "\nhere, queued → the job's process is started: "
                f"{statistics.median(share):.3f} s (median), {quantile(share, 0.95):.3f} s (p95)"
            )
        if "big" in given.only:
            print(f"\nLines of the big log that were not there: {lost}")
    if failed:
        shown(failed, "failure", "edge3", "here")


if __name__ == "__main__":
    main()
