"""Dispatch beside open dashboards that draw themselves again at every change, against none.

Usage: python -m benchmarks.dashboards [--dashboards 5] [--rounds 6] [--latency 40] [--jobs 400]

Each dashboard does what the script of an open page does: it holds the stream of changes and fetches
its page at each, at most twice a second. All are in one other process, which draws nothing; what it
costs this machine is in the figures, too. In every round both are measured, in turn, so that a busy
moment meets both; what counts is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event
from typing import Final, NamedTuple

import aiohttp

from benchmarks.bed import Bed, bed, quantile, wait_until
from benchmarks.dispatch import latency, throughput
from benchmarks.pair import compared, turns

PAGES: Final = ("/", "/jobs", "/agents", "/queues/default", "/agents/bench")
NONE: Final = "none"
OPEN: Final = "open"
AIM: Final = 1.05


class Events(NamedTuple):
    """Between the two processes."""

    wanted: Event
    unwanted: Event
    ready: Event
    """The dashboards are open, and each has drawn its page."""


@contextmanager
def dashboards(place: Bed, count: int) -> Iterator[Callable[[str], None]]:
    """Dashboards in a process of their own; the function opens or closes them."""
    context = multiprocessing.get_context("spawn")
    events = Events(context.Event(), context.Event(), context.Event())
    child = context.Process(target=_hold, args=(place.url, place.token, count, events), daemon=True)
    child.start()

    def turn(name: str) -> None:
        (events.wanted if name == OPEN else events.unwanted).set()
        wait_until(lambda: events.ready.is_set() == (name == OPEN), f"dashboards: {name}", 300)

    try:
        yield turn
    finally:
        child.terminate()
        child.join()


def _hold(url: str, token: str, count: int, events: Events) -> None:
    async def hold() -> None:
        jar = aiohttp.CookieJar(unsafe=True)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(url, cookie_jar=jar, connector=connector) as session:
            async with session.post("/login", data={"token": token}, allow_redirects=False) as said:
                assert said.status == 303, await said.text()
            while True:
                await asyncio.to_thread(events.wanted.wait)
                events.wanted.clear()
                drawn = [asyncio.Event() for _ in range(count)]
                pages = [
                    asyncio.create_task(page(session, PAGES[number % len(PAGES)], one))
                    for number, one in enumerate(drawn)
                ]
                for one in drawn:
                    await one.wait()
                events.ready.set()
                await asyncio.to_thread(events.unwanted.wait)
                events.unwanted.clear()
                for task in pages:
                    task.cancel()
                for task in pages:
                    with suppress(asyncio.CancelledError):
                        await task
                events.ready.clear()

    asyncio.run(hold())


async def page(session: aiohttp.ClientSession, path: str, drawn: asyncio.Event) -> None:
    """An open page: it is drawn again at every change. `drawn` is set once it was."""
    headers, forever = {"Accept": "text/event-stream"}, aiohttp.ClientTimeout(total=None)
    async with session.get("/live", headers=headers, timeout=forever) as stream:
        async for line in stream.content:
            if line.startswith((b"event: changed", b"event: open")):
                async with session.get(path, headers={"Accept": "text/html"}) as answer:
                    assert answer.status == 200, path
                    await answer.read()
                drawn.set()


def burst(place: Bed, options: argparse.Namespace) -> dict[str, float]:
    """One of each kind."""
    delays = latency(place, options.latency)
    load = throughput(place, options.jobs)
    return {
        "submit → started, median, ms": quantile(delays, 0.5),
        "submit → started, p95, ms": quantile(delays, 0.95),
        "jobs a second": load["jobs/s"],
        "CPU a job, server, ms": load["server"],
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dashboards", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--latency", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=400)
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {NONE: [], OPEN: []}
    load = []
    with bed(capacity=8) as place, dashboards(place, options.dashboards) as turn:
        throughput(place, options.jobs // 2)
        now = NONE
        for number, name in turns([NONE, OPEN], options.rounds):
            if name != now:
                turn(name)
                now = name
            load.append(os.getloadavg()[0])
            found[name].append(burst(place, options))
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
    print(
        f"\n## Dispatch beside {options.dashboards} open dashboards, {options.rounds} rounds of "
        f"{options.jobs} jobs; load of the machine {min(load):.1f}–{max(load):.1f}\n"
    )
    print("| what: median (best) | none | open | open ÷ none (middle half) |\n|---|---|---|---|")
    for row in compared(found[NONE], found[OPEN]):
        print(f"| {' | '.join(row)} |")
    pairs = zip(found[NONE], found[OPEN], strict=True)
    slower = statistics.median(one["jobs a second"] / two["jobs a second"] for one, two in pairs)
    print(f"\nThroughput: {(slower - 1) * 100:+.1f} % of time a job; aim: at most 5 %")
    return int(slower > AIM)


if __name__ == "__main__":
    sys.exit(main())
