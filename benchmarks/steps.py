"""Where the time of a dispatch goes: each step from the submit to the report of a short job.

Usage: python -m benchmarks.steps [--jobs 150]

One job after another. The stamps are those of the timeline (`queued`, `assigned`, `started`) and of
the messages between server and agent, as each reads and writes them (`benchmarks.stamped`): one
machine, one clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Final

from benchmarks.bed import Bed, bed, quantile
from benchmarks.dispatch import TRUE, submitting
from benchmarks.stamped import Stamp, read

STEPS: Final = (
    ("queued", "request read, caller known, body validated"),
    ("assigned", "matched to an agent, while the job is stored"),
    ("offer out", "job and assignment run as one transaction, offer written"),
    ("offer in", "offer at the agent"),
    ("accept out", "attempt written on the agent's disk, acceptance written"),
    ("accept in", "acceptance at the server"),
    ("confirm out", "acceptance committed, confirmation written"),
    ("confirm in", "confirmation at the agent, acceptance durable on its disk meanwhile"),
    ("started", "a shim has taken it and spawned the process"),
    ("ended out", "the agent heard of its end, which says the start, too; written"),
    ("ended in", "start and end at the server"),
)
"""Where a step ends, and what it was."""
_WRITER: Final = {"offer": "server", "accept": "agent", "confirm": "server", "ended": "agent"}


def measure(place: Bed, count: int) -> dict[str, dict[str, float]]:
    """For each of `count` jobs when each step ended, in milliseconds since the request was sent;
    without those that only the messages tell."""
    found: dict[str, dict[str, float]] = {}
    with submitting(place) as submit:
        for _ in range(count):
            sent = time.time()
            job = submit(TRUE)
            place.client.wait(job, 30)
            told = {e.what: e.at.timestamp() for e in place.client.timeline(job)}
            names = ("queued", "assigned", "started")
            found[job] = {"sent": sent, **{name: told[name] for name in names}}
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=150)
    options = parser.parse_args()
    with bed(capacity=8, stamped=True) as place:
        measure(place, 20)
        jobs = measure(place, options.jobs)
        for process in (place.agent, place.server):
            assert process is not None
            process.terminate()
            process.wait(30)
        stamps = {who: read(place.root / f"{who}.stamps") for who in ("server", "agent")}
    for who, notes in stamps.items():
        add(jobs, who, notes)
    print(f"\n## Steps of a dispatch, {len(jobs)} jobs one after another\n")
    print("| until | ms of it: median | p95 | share | ms since the submit |\n|---|---|---|---|---|")
    print("\n".join(rows(list(jobs.values()))))


def add(jobs: dict[str, dict[str, float]], who: str, notes: list[Stamp]) -> None:
    """Take the stamps of a program: where it wrote what it says, and read what the other says."""
    for stamp in notes:
        fits = (_WRITER.get(stamp.type) == who) == (stamp.way == "out")
        if stamp.job in jobs and fits:
            jobs[stamp.job].setdefault(f"{stamp.type} {stamp.way}", stamp.at)


def rows(jobs: list[dict[str, float]]) -> list[str]:
    """The rows of the table: what each step took of the jobs, and its share of all."""
    last = STEPS[-1][0]
    whole = [(job[last] - job["sent"]) * 1000 for job in jobs]
    found, before = [], "sent"
    for name, what in STEPS:
        taken = [(job[name] - job[before]) * 1000 for job in jobs]
        since = statistics.median((job[name] - job["sent"]) * 1000 for job in jobs)
        median, late = statistics.median(taken), quantile(taken, 0.95)
        share = sum(taken) / sum(whole) * 100
        found.append(f"| {what} | {median:.2f} | {late:.2f} | {share:.0f} % | {since:.2f} |")
        before = name
    median, late = statistics.median(whole), quantile(whole, 0.95)
    return [*found, f"| all | {median:.2f} | {late:.2f} | 100 % | |"]


if __name__ == "__main__":
    main()
