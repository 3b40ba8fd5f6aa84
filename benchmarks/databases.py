"""Jobs on SQLite and on PostgreSQL: their records alone, then whole jobs, of another version too.

Usage: python -m benchmarks.databases [--jobs N] [--rounds 3] [--whole 200] [--before FOLDER]

The records are submit, assign, accept, started, ended; CPU is that of this process (the server's
part; PostgreSQL's own is not in it). Whole jobs are those of running servers and agents, in turn as
in `benchmarks.pair`, and PostgreSQL's processes are a row of their own. Each PostgreSQL runs on
this host and syncs its commits. Compare within one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.bed import quantile, table
from benchmarks.checkout import POSTGRESQL, running
from benchmarks.pair import Figures, compared, turns
from remote_protocol.messages import Ended
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason
from remote_server.domain.changes import Accepted, Finished, Running
from remote_server.store import Store
from tests.support.postgresql import PostgresServer

_SPEC = CommandSpec(command=["true"])
_ROUNDS = 3
SQLITE: Final = "SQLite"
BEFORE: Final = ", before"
_HERE: Final = Path(__file__).resolve().parent.parent


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


def whole(options: argparse.Namespace) -> dict[str, list[Figures]]:
    """The figures of whole jobs in all rounds, by database, and of the other version."""
    trees = {"": _HERE}
    if options.before is not None:
        trees[BEFORE] = options.before.resolve()
    with ExitStack() as stack:
        pairs = {
            name + version: stack.enter_context(running(tree, postgresql=name == POSTGRESQL))
            for version, tree in trees.items()
            for name in (SQLITE, POSTGRESQL)
        }
        for pair in pairs.values():
            pair.jobs(max(16, options.whole // 2))
        found: dict[str, list[Figures]] = {name: [] for name in pairs}
        for number, name in turns(list(pairs), options.rounds):
            figures = pairs[name].jobs(options.whole) | pairs[name].latency(options.latency)
            found[name].append(figures)
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
    return found


def tables(found: dict[str, list[Figures]]) -> Iterator[str]:
    """What is printed of whole jobs: PostgreSQL beside SQLite, and each beside its former self."""
    yield from _ratios(found, SQLITE, POSTGRESQL)
    for name in (SQLITE, POSTGRESQL):
        if name + BEFORE in found:
            yield from _ratios(found, name + BEFORE, name)


def _ratios(found: dict[str, list[Figures]], first: str, second: str) -> Iterator[str]:
    yield f"\n| what: median (best) | {first} | {second} | ratio (middle half) |\n|---|---|---|---|"
    one, other = (with_all(found[name]) for name in (first, second))
    for row in compared(one, other):
        yield f"| {' | '.join(row)} |"
    if one[0].keys() != other[0].keys():
        own = f"CPU a job, {POSTGRESQL}, ms"
        yield f"| {own} | | {quantile([one[own] for one in other], 0.5):.3g} | |"


def with_all(rounds: Sequence[Figures]) -> list[Figures]:
    """With the CPU of all processes, those of PostgreSQL included."""
    return [
        one | {"CPU a job, all, ms": sum(v for k, v in one.items() if k.startswith("CPU a job"))}
        for one in rounds
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", type=int, default=200)
    parser.add_argument("--latency", type=int, default=20)
    parser.add_argument("--before", type=Path, help="a checkout of another version")
    options = parser.parse_args()
    records(max(64, options.jobs))
    load = os.getloadavg()[0]
    found = whole(options)
    print(
        f"\n## Whole jobs, {options.rounds} rounds of {options.whole}; load of the machine at the "
        f"beginning {load:.1f}, at the end {os.getloadavg()[0]:.1f}"
    )
    print("\n".join(tables(found)))


def records(jobs: int) -> None:
    """Measure the records alone, and print."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, PostgresServer.started(synced=True) as server:
        for width in (1, 8):
            urls = {
                SQLITE: str(Path(folder) / f"{width}.db"),
                POSTGRESQL: server.create_database(),
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
