"""Celery with Redis, eight children that run `true`: latency to a process, tasks a second, CPU.

Runs with the Python of the environment that has Celery, not with ours, and imports nothing of ours:
`make bench-peers` starts it. Redis keeps nothing on the disk, and Celery takes a task before it is
done: what is lost with a worker or with Redis is lost. One line of JSON is all it prints.

Usage: PYTHON benchmarks/peers/celery_redis.py FOLDER PORT LATENCY JOBS
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_TASKS = """
import subprocess, time
from celery import Celery
app = Celery("peer_tasks", broker="redis://127.0.0.1:{port}/0", backend="redis://127.0.0.1:{port}/1")
app.conf.worker_prefetch_multiplier = 4

@app.task
def true():
    return subprocess.run(["/usr/bin/true"]).returncode

@app.task
def started():
    process = subprocess.Popen(["/usr/bin/true"])
    at = time.time()
    process.wait()
    return at
"""


def below(*pids: int) -> dict[int, list[str]]:
    """These processes and all below them, with the fields of proc(5) from the state on."""
    parents: dict[int, int] = {}
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        found[int(entry.name)] = fields
    family = list(pids)
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return {pid: found[pid] for pid in family if pid in found}


def cpu(*pids: int) -> float:
    """CPU seconds of these processes and of all below them, those that ended included."""
    ticks = sum(sum(map(int, fields[11:15])) for fields in below(*pids).values())
    return ticks / os.sysconf("SC_CLK_TCK")


def pin(processor: int, *pids: int) -> None:
    """Have these processes, and all below them, run on one processor."""
    for pid in below(*pids):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {processor})


def batch(tasks: Any, jobs: int) -> float:
    """Seconds that this many tasks take together."""
    began = time.time()
    for result in [tasks.true.delay() for _ in range(jobs)]:
        result.get(timeout=300)
    return time.time() - began


def measure(tasks: Any, pids: tuple[int, int], latency: int, jobs: int) -> dict[str, float]:
    """The figures, after one task to warm up, and those of a batch after another one."""
    tasks.started.delay().get(timeout=120)
    delays = waits(tasks, latency)
    batch(tasks, jobs)
    before = cpu(*pids)
    seconds = batch(tasks, jobs)
    found = {"rate": jobs / seconds, "cpu": (cpu(*pids) - before) / jobs * 1000}
    worker, redis = pids
    pin(0, redis, os.getpid())
    pin(1, worker)
    apart = waits(tasks, latency)
    for name, values in (("", delays), ("apart ", apart)):
        found[f"{name}median"] = values[len(values) // 2]
        found[f"{name}p95"] = values[int(len(values) * 0.95)]
    return found


def waits(tasks: Any, count: int) -> list[float]:
    """Milliseconds from before the call to the process, of tasks one after another; sorted."""
    delays = []
    for _ in range(count):
        # Not always at the same moment of whatever ticks.
        time.sleep(random.uniform(0, 0.03))
        began = time.time()
        delays.append((tasks.started.delay().get(timeout=60) - began) * 1000)
    return sorted(delays)


def main() -> None:
    """Start Redis and a worker, measure, stop both."""
    folder, port, latency, jobs = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5])
    os.chdir(folder)
    Path("peer_tasks.py").write_text(_TASKS.replace("{port}", port))
    sys.path.insert(0, str(folder))
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    store = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    redis = subprocess.Popen(["redis-server", *store], **quiet)
    celery = [sys.executable, "-m", "celery", "-A", "peer_tasks", "worker", "-c", "8"]
    worker = subprocess.Popen([*celery, "-l", "ERROR"], **quiet)
    try:
        import peer_tasks  # type: ignore[import-not-found]

        print(json.dumps(measure(peer_tasks, (worker.pid, redis.pid), latency, jobs)), flush=True)
    finally:
        worker.terminate()
        worker.wait(60)
        redis.terminate()
        redis.wait(20)


if __name__ == "__main__":
    main()
