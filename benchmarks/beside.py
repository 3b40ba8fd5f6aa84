"""Jobs here beside tasks of Celery with Redis, and beside what the machine can do, in turn.

Both run `true`, eight at a time; a batch is measured after another one of its size. Ours is
durable: SQLite FULL, an fsync at each acceptance. Celery with Redis keeps nothing on a disk. Only
the ratios of one run mean something: machines differ, and drift. Linux may wake a process on the
processor of the one that writes to it, which then stops: so latencies are measured twice, also
with the two sides, which are two hosts elsewhere, on a processor each. A command at the prompt
beside ssh is `benchmarks.prompt`.

Usage: python -m benchmarks.beside --celery VENV [--rounds 3] [--latency 150] [--jobs 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bed import Bed, bed, quantile
from benchmarks.dispatch import latency, throughput
from benchmarks.peers.celery_redis import pin
from tests.support.ports import free_port

Figures = dict[str, float]
_TRUE = "/bin/true"
_SCRIPT = Path(__file__).resolve().parent / "peers" / "celery_redis.py"
ROWS = (
    ("submit → process started, median, ms", "median", "≤ 0.8"),
    ("submit → process started, p95, ms", "p95", "≤ 0.8"),
    ("the same, server and agent on a processor each, median, ms", "apart median", "≤ 0.8"),
    ("the same, p95, ms", "apart p95", "≤ 0.8"),
    ("jobs a second", "rate", "≥ 1.3"),
    ("CPU a job, all processes, ms", "cpu", "≤ 0.8"),
)


def limits() -> Figures:
    """What the machine can do: processes a second, a loop of Python, a sync of the disk."""
    began = time.perf_counter()
    for _ in range(1000):
        os.waitpid(os.posix_spawn(_TRUE, [_TRUE], {}), 0)
    spawned = 1000 / (time.perf_counter() - began)
    loops, syncs = [], []
    for _ in range(30):
        began = time.perf_counter()
        sum(i * i for i in range(1000))
        loops.append(time.perf_counter() - began)
    with tempfile.NamedTemporaryFile(dir=".") as file:
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            syncs.append(time.perf_counter() - began)
    loop, sync = statistics.median(loops) * 1e6, statistics.median(syncs) * 1000
    return {"spawned": spawned, "loop": loop, "sync": sync}


def peer(python: Path, options: argparse.Namespace) -> Figures:
    """Celery's figures."""
    with tempfile.TemporaryDirectory(prefix="remote-bench-") as folder:
        call = [python, _SCRIPT, folder, free_port(), options.latency, options.jobs]
        ran = subprocess.run([str(word) for word in call], check=True, stdout=subprocess.PIPE)
    found: Figures = json.loads(ran.stdout)
    return found


def ours(options: argparse.Namespace) -> Figures:
    """The same of a server and an agent of this checkout."""
    with bed(capacity=8) as place:
        latency(place, 20)
        delays = latency(place, options.latency)
        throughput(place, options.jobs)
        load = throughput(place, options.jobs)
        apart = latency_apart(place, options.latency)
    parts = {name: load[name] for name in ("server", "agent", "shims and jobs")}
    found = {"median": quantile(delays, 0.5), "p95": quantile(delays, 0.95)}
    found |= {"apart median": quantile(apart, 0.5), "apart p95": quantile(apart, 0.95)}
    return found | {"rate": load["jobs/s"], "cpu": sum(parts.values())} | parts


def latency_apart(place: Bed, count: int) -> list[float]:
    """Milliseconds from before the submit to the spawn, with the server and this program on one
    processor, the agent on the other, as they would be on two hosts."""
    everywhere = os.sched_getaffinity(0)
    pin(1, place.agent_pid)
    pin(0, place.server.pid)
    os.sched_setaffinity(0, {0})
    try:
        return latency(place, count)
    finally:
        os.sched_setaffinity(0, everywhere)


def ratios(mine: Sequence[Figures], theirs: Sequence[Figures], name: str) -> str:
    """Median of the rounds' ratios, with the lowest and the highest."""
    found = [one[name] / other[name] for one, other in zip(mine, theirs, strict=True)]
    return f"{statistics.median(found):.2f} ({min(found):.2f}–{max(found):.2f})"


def shown(rounds: Sequence[Figures], name: str) -> str:
    """The median of all rounds."""
    return f"{statistics.median(figures[name] for figures in rounds):.3g}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--celery", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=int, default=150)
    parser.add_argument("--jobs", type=int, default=1000)
    options = parser.parse_args()
    bounds: list[Figures] = []
    theirs: list[Figures] = []
    mine: list[Figures] = []
    load = []
    for number in range(options.rounds):
        load.append(os.getloadavg()[0])
        bounds.append(limits())
        theirs.append(peer(options.celery.absolute() / "bin" / "python", options))
        mine.append(ours(options))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print(
        f"\n## Beside Celery with Redis, {options.rounds} rounds, load of the machine "
        f"{min(load):.1f}–{max(load):.1f}\n"
    )
    print(
        f"posix_spawn of `true`, one after another: {shown(bounds, 'spawned')} a second; a loop "
        f"of Python: {shown(bounds, 'loop')} µs; fdatasync: {shown(bounds, 'sync')} ms\n"
    )
    head = "| what, median of the rounds | Celery (not durable) | ours (durable) | ours ÷ Celery's"
    print(f"{head} | aim |\n|---|---|---|---|---|")
    for what, name, aim in ROWS:
        ratio = ratios(mine, theirs, name)
        print(f"| {what} | {shown(theirs, name)} | {shown(mine, name)} | {ratio} | {aim} |")
    for name in ("server", "agent", "shims and jobs"):
        print(f"| … of it {name} | | {shown(mine, name)} | | |")
    spawned = ratios(mine, [{"rate": one["spawned"]} for one in bounds], "rate")
    print(f"| jobs a second ÷ posix_spawn's | | | {spawned} | |")


if __name__ == "__main__":
    main()
