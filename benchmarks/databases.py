"""The records of a job on SQLite and on PostgreSQL: submit, assign, accept, started, ended.

CPU is that of this process (the server's part; PostgreSQL's own is not in it). The PostgreSQL
server runs on this host and syncs its commits. Compare within one run only.

Usage: python -m benchmarks.databases [--jobs N]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.bed import quantile, table
from remote_protocol.messages import Ended
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason
from remote_server.domain.changes import Accepted, Finished, Running
from remote_server.store import Store
from tests.support.postgresql import PostgresServer

_SPEC = CommandSpec(command=["true"])
_ROUNDS = 3


async def _chain(store: Store) -> float:
    """One job's records; seconds."""
    begun, now = time.perf_counter(), time.time()
    (job,) = await store.submit([_SPEC], now)
    (lease,) = await store.assign([(job.id, "a")], now)
    await store.record("a", Accepted(lease.key), now)
    await store.record("a", Running(lease.key, 1, now), now)
    ended = Ended(
        attempt=lease.key,
        exit_code=0,
        end_reason=EndReason.EXIT,
        size=0,
        checksum=0,
        ended_at=now,
    )
    await store.record("a", Finished(lease.key, ended), now)
    return time.perf_counter() - begun


async def _measure(url: str, jobs: int, width: int) -> tuple[str, str, str]:
    """CPU microseconds a job, milliseconds of a chain, jobs a second: the best of some rounds."""
    store = await Store.open(url)
    taken: list[float] = []

    async def lane(count: int) -> None:
        for _ in range(count):
            taken.append(await _chain(store))

    await lane(50)
    cpu, rate, chains = float("inf"), 0.0, [0.0]
    for _ in range(_ROUNDS):
        taken.clear()
        process, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(lane(jobs // width) for _ in range(width)))
        cpu = min(cpu, (time.process_time() - process) / len(taken) * 1e6)
        per_second = len(taken) / (time.perf_counter() - wall)
        if per_second > rate:
            rate, chains = per_second, sorted(taken)
    await store.close()
    middle, most = quantile(chains, 0.5) * 1000, quantile(chains, 0.95) * 1000
    return f"{cpu:.0f}", f"{middle:.1f} / {most:.1f}", f"{rate:.0f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=800)
    jobs = max(64, parser.parse_args().jobs)
    rows = []
    with tempfile.TemporaryDirectory() as folder, PostgresServer.started(synced=True) as server:
        for width in (1, 8):
            urls = {
                "SQLite": str(Path(folder) / f"{width}.db"),
                "PostgreSQL": server.create_database(),
            }
            for name, url in urls.items():
                cpu, chain, rate = asyncio.run(_measure(url, jobs, width))
                rows += [
                    (f"{name}, {width} at a time: CPU a job, µs", cpu, ""),
                    (f"{name}, {width} at a time: median / p95 of a job, ms", chain, ""),
                    (f"{name}, {width} at a time: jobs a second", rate, ""),
                ]
    table("A job's records, SQLite and PostgreSQL, durable", rows)


if __name__ == "__main__":
    main()
