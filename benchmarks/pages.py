"""Every page of a server that has much to show, and how it asks its database.

Usage: python -m benchmarks.pages [--jobs 100000] [--agents 1000] [--rounds 40]

The server is a process of its own, the agents are simulated and connected. Pages are asked for in
turn, so that what a server keeps for a moment is mostly old when it is asked for again. The time is
what a browser on the same host waits; CPU is the server's. Then each statement that the pages use
is explained by SQLite: 1 is returned when one looks at all rows of a table that grows, or when a
page is slower than the aim.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import re
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final
from unittest import mock

import aiohttp

from benchmarks.bed import Bed, bed, cpu_seconds, quantile, start_server, table, wait_until
from benchmarks.filled import fill
from benchmarks.swarm import Swarm
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.states import JobState
from remote_server.store.ports import NOTHING
from remote_server.store.sqlite import transaction
from remote_server.web.application import ROUTES

AIM: Final = 200.0
"""Milliseconds of the 95th percentile of a page."""
GROWS: Final = ("jobs", "job_specs", "attempts", "timeline", "webhook_deliveries", "audit")
"""Tables that grow with use."""
PAGES: Final = (
    *("/", "/agents", "/agents?q=swarm-7", "/agents?state=online&queue=default"),
    *("/agents/swarm-1", "/queues", "/queues/default", "/queues/gpu"),
    *("/jobs", "/jobs?state=failed", "/jobs?state=queued&queue=gpu", "/jobs?agent=swarm-5"),
    *("/jobs?queue=berlin&state=failed", "/jobs?name=nightly-export-77", "/jobs?label=gpu"),
    *("/jobs?end_reason=timeout", "/jobs?submitted_by=me", "/jobs?since=24h"),
    *("/jobs/{ended}", "/jobs/{waits}", "/jobs/{ended}/log", "/submit", "/submit?job={ended}"),
    *("/tokens", "/tokens?kind=agent", "/webhooks", "/webhooks/alarm", "/audit", "/about"),
)
_SCAN: Final = re.compile(rf"SCAN ({'|'.join(GROWS)})\b(.*)")


class Browser:
    """A browser that draws nothing."""

    def __init__(self, url: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        self._headers = {"Accept": "text/html"}
        form = {"Content-Type": "application/x-www-form-urlencoded", **self._headers}
        self._connection.request("POST", "/login", f"token={token}", form)
        answer = self._connection.getresponse()
        answer.read()
        self._headers["Cookie"] = (answer.getheader("Set-Cookie") or "").partition(";")[0]

    def get(self, path: str) -> float:
        """Milliseconds until a page is there."""
        begun = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 200, f"{path}: {answer.status}"
        return (time.perf_counter() - begun) * 1000


def paths(place: Bed) -> list[str]:
    """The pages, with the jobs that there are."""
    (ended,) = place.client.jobs(state=JobState.SUCCEEDED, limit=1).items
    (waits,) = place.client.jobs(state=JobState.QUEUED, limit=1).items
    known = {route.path for route in ROUTES}
    wanted = [path for path in PAGES if path != "/audit" or path in known]
    return [path.format(ended=ended.id, waits=waits.id) for path in wanted]


@contextmanager
def swarm(place: Bed, count: int) -> Iterator[None]:
    """Connected agents, in a process of their own."""
    token = place.client.create_registration_token(RegistrationTokenCreate(uses=None)).token
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    child = context.Process(target=_hold, args=(place.url, token, count, ready, over))
    child.start()
    try:
        wait_until(lambda: ready.is_set() or not child.is_alive(), "the agents", 600)
        assert child.is_alive(), "the agents could not connect"
        yield
    finally:
        over.set()
        child.join()


def _hold(url: str, token: str, count: int, ready: Event, over: Event) -> None:
    async def hold() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            agents = Swarm(url, session)
            await agents.enrol(count, token)
            ready.set()
            await asyncio.to_thread(over.wait)
            await agents.close()

    asyncio.run(hold())


def measure(place: Bed, rounds: int) -> tuple[list[tuple[str, str, str]], bool]:
    """The rows of the table, and whether every page holds the aim."""
    browser, wanted = Browser(place.url, place.token), paths(place)
    taken: dict[str, list[float]] = {path: [] for path in wanted}
    spent: dict[str, float] = dict.fromkeys(wanted, 0.0)
    for path in wanted:
        browser.get(path)
    for _ in range(rounds):
        for path in wanted:
            before = cpu_seconds(place.server.pid)
            taken[path].append(browser.get(path))
            spent[path] += cpu_seconds(place.server.pid) - before
    rows = []
    for path in wanted:
        times = taken[path]
        shown = re.sub(r"[0-9A-Z]{26}", "ID", path)
        said = f"{quantile(times, 0.5):.1f} / {quantile(times, 0.95):.1f} / {max(times):.1f}"
        rows.append((f"`{shown}`", f"{said}; {spent[path] / rounds * 1000:.1f}", f"≤ {AIM:.0f}"))
    return rows, all(quantile(times, 0.95) <= AIM for times in taken.values())


Asked = dict[str, tuple[Any, ...]]


@contextmanager
def recorded() -> Iterator[Asked]:
    """What is read from SQLite in this process: each statement with its first parameters."""
    found: Asked = {}
    reader = transaction.SqliteReader

    def noting(original: Any) -> Any:
        def read(self: Any, statement: Any, parameters: Any = NOTHING) -> Any:
            compiled = transaction.STATEMENTS[statement]
            found.setdefault(compiled.text, compiled.place(parameters))
            return original(self, statement, parameters)

        return read

    with (
        mock.patch.object(reader, "one", noting(reader.one)),
        mock.patch.object(reader, "all", noting(reader.all)),
    ):
        yield found


def scans(database: Path, asked: Asked) -> list[str]:
    """The statements that look at all rows of a table that grows: what SQLite says of them. An
    index in the order that is wanted, and a limit, is no such look."""
    found = []
    with sqlite3.connect(database) as connection:
        for text, parameters in asked.items():
            plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", parameters).fetchall()
            for *_, detail in plan:
                scan = _SCAN.search(detail)
                if scan is not None and not ("USING" in scan[2] and "LIMIT" in text):
                    found.append(f"{detail}: {' '.join(text.split())}")
    connection.close()
    return found


async def ask_all(folder: Path, wanted: Sequence[str]) -> Asked:
    """What a server in this process, on that data, asks its database for these pages."""
    from tests.support.live_server import config_for, running
    from tests.support.visitor import visitor

    config = config_for(folder, data_dir=folder / "server")
    async with running(config) as live, visitor(live) as browser:
        await browser.get("/")  # Jobs are counted once, when a server has started.
        with recorded() as asked:
            for path in wanted:
                assert (await browser.get(path)).status == 200, path
            # What is kept for some seconds is read anew.
            await live.services.overview._read()
    return asked


def main() -> int:
    """Measure, explain and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with bed(with_agent=False) as place:
        place.server.terminate()
        place.server.wait()
        (database,) = (place.root / "server").glob("*.db")
        begun = time.monotonic()
        fill(database, options.jobs, options.agents)
        print(f"{options.jobs} jobs made in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        place.server = start_server(place.root, place.url)
        wait_until(lambda: _answers(place), "the server", 60)
        with swarm(place, options.agents):
            _webhook(place)
            rows, quick = measure(place, options.rounds)
            wanted = paths(place)
        place.server.terminate()
        place.server.wait()
        asked = asyncio.run(ask_all(place.root, wanted))
        bad = scans(database, asked)
    head = f"{options.jobs:,} jobs, {options.agents:,} agents, {options.rounds} requests each"
    table(f"Pages, ms: median / p95 / worst; CPU ({head})", rows)
    print(f"\n{len(asked)} statements explained; {len(bad)} look at all rows of a table that grows")
    for one in bad:
        print(f"- {one}")
    return int(bool(bad) or not quick)


def _webhook(place: Bed) -> None:
    body = {"name": "alarm", "url": "https://example.com/", "events": ["job.ended"]}
    headers = {"Authorization": f"Bearer {place.token}"}
    connection = http.client.HTTPConnection(place.url.removeprefix("http://"), timeout=60)
    connection.request("POST", "/api/v1/webhooks", json.dumps(body), headers)
    assert connection.getresponse().status == 201


def _answers(place: Bed) -> bool:
    try:
        return place.client.version().product == "remote-server"
    except Exception:
        return False


if __name__ == "__main__":
    sys.exit(main())
