"""Programs that use a server while jobs run, for measurements: all in one other process.

An open page of the dashboard, a Prometheus, readers of the audit and of events; and what a server
sends to: a receiver of webhooks and of OTLP, one of StatsD, an object storage. A visitor is there
when the first answer is.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.dashboards import page
from tests.support.fake_s3 import fake_s3

_SECOND: Final = 1.0
_WAIT: Final = 60.0


QUIET: Final = "quiet"


class Order(NamedTuple):
    """What the other process is asked to do; no visitor: whoever is there leaves; `quiet`: answer
    when nothing has come for a second."""

    visitor: str = ""
    url: str = ""
    token: str = ""
    more: str = ""
    """A second address that it reads from."""


class Places(NamedTuple):
    """Where the other process listens."""

    receiver: str
    storage: str
    statsd: str


class Visitors:
    """The other process, seen from this one."""

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe
        self.places: Places = self._said()

    @contextmanager
    def visiting(self, visitor: str, url: str, token: str, more: str = "") -> Iterator[None]:
        """While it is there. RuntimeError when it does not come."""
        self._ask(Order(visitor, url, token, more))
        try:
            yield
        finally:
            self._ask(Order())

    def quiet(self) -> None:
        """Wait until nothing has come for a second: all messages were sent."""
        self._ask(Order(QUIET))

    def _ask(self, order: Order) -> None:
        self._pipe.send(order)
        if failed := self._said():
            raise RuntimeError(f"{order.visitor or 'a visitor'}: {failed}")

    def _said(self) -> Any:
        if not self._pipe.poll(_WAIT):
            raise TimeoutError("the process of the visitors says nothing")
        return self._pipe.recv()


@contextmanager
def visitors() -> Iterator[Visitors]:
    """Start the process; it ends with the context."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_process, args=(there,), daemon=True)
    child.start()
    try:
        yield Visitors(here)
    finally:
        child.terminate()
        child.join()


def _process(pipe: Connection[Any, Any]) -> None:
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection[Any, Any]) -> None:
    received: list[str] = []
    async with fake_s3() as storage, _receiver(received) as receiver, _statsd() as statsd:
        pipe.send(Places(receiver, storage.url, statsd))
        visit: asyncio.Task[None] | None = None
        while True:
            order: Order = await asyncio.to_thread(pipe.recv)
            if order.visitor == QUIET:
                await _quiet(lambda: len(received) + len(storage.asked))
                pipe.send("")
                continue
            if visit is not None:
                visit.cancel()
                await asyncio.wait([visit])
                visit = None
            failed = ""
            if order.visitor:
                ready = asyncio.Event()
                visit = asyncio.create_task(_visit(order, ready))
                failed = await _come(visit, ready)
            # They would only grow.
            for kept in (storage.objects, storage.asked, received):
                kept.clear()
            pipe.send(failed)


async def _quiet(count: Callable[[], int]) -> None:
    """Wait for a second in which it stays the same."""
    seen = -1
    while seen != (seen := count()):  # noqa: ASYNC110 - the storage of tests sets no event
        await asyncio.sleep(_SECOND)


async def _come(visit: asyncio.Task[None], ready: asyncio.Event) -> str:
    """Wait for the visitor; why it does not come."""
    coming = asyncio.create_task(ready.wait())
    await asyncio.wait([visit, coming], timeout=_WAIT / 2, return_when=asyncio.FIRST_COMPLETED)
    coming.cancel()
    if ready.is_set():
        return ""
    return repr(visit.exception()) if visit.done() else "there is no answer"


async def _visit(order: Order, ready: asyncio.Event) -> None:
    headers = {"Authorization": f"Bearer {order.token}", "Accept": "*/*"}
    jar = aiohttp.CookieJar(unsafe=True)
    forever = aiohttp.ClientTimeout(total=None)
    if order.visitor == "page":
        headers = {}
    async with aiohttp.ClientSession(
        order.url, cookie_jar=jar, headers=headers, timeout=forever, raise_for_status=True
    ) as session:
        if order.visitor == "page":
            data = {"token": order.token}
            async with session.post("/login", data=data, allow_redirects=False):
                await page(session, "/jobs", ready)
        elif order.visitor == "scraper":
            await _scrape(session, order.more, ready)
        else:
            await _follow(session, order.visitor, ready)


async def _scrape(session: aiohttp.ClientSession, agent: str, ready: asyncio.Event) -> None:
    """Read the metrics of the server, and of an agent where one serves them, each second."""
    while True:
        async with session.get("/metrics") as answer:
            await answer.read()
        if agent:
            async with aiohttp.request("GET", agent, raise_for_status=True) as answer:
                await answer.read()
        ready.set()
        await asyncio.sleep(_SECOND)


async def _follow(session: aiohttp.ClientSession, what: str, ready: asyncio.Event) -> None:
    """Read a stream of the API, from its beginning to its end, which never comes."""
    headers = {"Accept": "application/x-ndjson"}
    async with session.get(f"/api/v1/{what}?follow=true", headers=headers) as stream:
        while True:
            # Once there is nothing new for a moment, it has read what there was.
            waits = None if ready.is_set() else _SECOND / 2
            try:
                async with asyncio.timeout(waits):
                    await stream.content.readany()
            except TimeoutError:
                ready.set()


@asynccontextmanager
async def _receiver(received: list[str]) -> AsyncIterator[str]:
    """Takes everything that is posted."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        received.append(request.path)
        return web.Response()

    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/{path:.*}", take)
    server = TestServer(app, access_log=None)
    await server.start_server()
    try:
        yield str(server.make_url("/")).rstrip("/")
    finally:
        await server.close()


@asynccontextmanager
async def _statsd() -> AsyncIterator[str]:
    """Takes datagrams."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    try:
        host, port = transport.get_extra_info("sockname")[:2]
        yield f"{host}:{port}"
    finally:
        transport.close()
