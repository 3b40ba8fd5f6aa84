"""Store and dispatcher alone: CPU of a `true` job's records, submit → offer, thousands of agents.

Usage: python -m benchmarks.store [--jobs N]
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
from remote_server.dispatcher import Dispatcher
from remote_server.domain.changes import Accepted, Finished, Running
from remote_server.domain.model import Clock, Lease
from remote_server.store import Store
from tests.support.fake_links import FakeLinks

_SPEC = CommandSpec(command=["true"])


class _Run:
    """Agents without processes that carry every offer through its life."""

    def __init__(self, store: Store, agents: int) -> None:
        self.store = store
        self.links = FakeLinks()
        self.links.on_offer = self._offered
        for number in range(agents):
            self.links.connect(f"agent{number}", capacity=8)
        self.dispatcher = Dispatcher(store, self.links, Clock(time.time, time.monotonic))
        store.on_commit(self.dispatcher.signal.committed)
        self.offered_at: dict[str, float] = {}
        self.done = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    def _offered(self, lease: Lease) -> None:
        self.offered_at[lease.key.job] = time.perf_counter()
        task = asyncio.ensure_future(self._live(lease))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, lease: Lease) -> None:
        key, record, agent = lease.key, self.store.record, lease.agent
        await record(agent, Accepted(key), time.time())
        await record(agent, Running(key, 1, time.time()), time.time())
        ended = Ended(
            attempt=key,
            exit_code=0,
            end_reason=EndReason.EXIT,
            size=0,
            checksum=0,
            ended_at=time.time(),
        )
        await record(agent, Finished(key, ended), time.time())
        del self.links.agents[agent].leases[key]
        self.dispatcher.signal.wake(agent)
        self.done += 1
        self._news.set()

    async def until(self, count: int) -> None:
        """Wait until so many jobs have ended."""
        while self.done < count:
            self._news.clear()
            await self._news.wait()


async def _measure(folder: Path, agents: int, jobs: int) -> tuple[float, float, list[float]]:
    """CPU milliseconds a job from a backlog and one after another; seconds from submit to offer."""
    store = await Store.open(str(folder / f"{agents}.db"))
    run = _Run(store, agents)
    task = asyncio.create_task(run.dispatcher.run())
    await asyncio.sleep(0.3)
    begun = time.process_time()
    for _ in range(0, jobs, 100):
        await store.submit([_SPEC] * 100, time.time())
    await run.until(jobs)
    backlog = (time.process_time() - begun) / jobs * 1000
    waits = []
    begun = time.process_time()
    single = max(jobs // 5, 1)
    for number in range(single):
        submitted = time.perf_counter()
        (job,) = await store.submit([_SPEC], time.time())
        await run.until(jobs + number + 1)
        waits.append(run.offered_at[job.id] - submitted)
    alone = (time.process_time() - begun) / single * 1000
    task.cancel()
    await store.close()
    return backlog, alone, waits


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    jobs = max(100, parser.parse_args().jobs // 100 * 100)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for agents in (1, 1000, 10_000):
            backlog, alone, waits = asyncio.run(_measure(Path(folder), agents, jobs))
            name = f"{agents} agent{'s' if agents > 1 else ''}"
            aim = "≤ 0.6" if agents == 1 else ""
            rows += [
                (f"{name}: CPU a job of a backlog, ms", f"{backlog:.2f}", aim),
                (f"{name}: CPU a job, one after another, ms", f"{alone:.2f}", ""),
                (
                    f"{name}: submit → offer, median / p95, ms",
                    f"{quantile(waits, 0.5) * 1000:.2f} / {quantile(waits, 0.95) * 1000:.2f}",
                    "",
                ),
            ]
    table("Store and dispatcher, SQLite FULL", rows)


if __name__ == "__main__":
    main()
