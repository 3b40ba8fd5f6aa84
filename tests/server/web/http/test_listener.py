"""Accepting under attack, on real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from remote_protocol.limits import SUBPROTOCOL
from remote_protocol.messages import Heartbeat
from remote_server.setting_values import Address
from remote_server.web.http import connections as budget
from remote_server.web.http.connection import Connection
from remote_server.web.http.connections import EACH_AGENT, Allowance, Connections
from remote_server.web.http.listener import Listener
from tests.support.alarms import alarms
from tests.support.live_server import Live, config_for, running

DEADLINE = 30.0
GARBAGE = b"GET /api/v1/agent/session HTTP/1.1\r\nUpgrade: websocket\r\n"


@pytest.fixture
async def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    """A server with room for few, on which a busy machine finds no time to be over: neither that of
    a head nor that in which a line of the log is written once."""
    monkeypatch.setattr(budget, "HEAD_TIME", 3600.0)
    monkeypatch.setattr(budget, "_QUIET", 3600.0)
    async with running(config_for(tmp_path)) as live:
        live.services.connections.allowed = Allowance(20, 5, 4, 5)
        yield live


async def test_idle_anonymous_connections_leave_room_for_everybody_else(small: Live) -> None:
    agent = await small.register()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(small.connect(agent))
        for _ in range(200):
            await stack.enter_async_context(small.wire())
        async with asyncio.timeout(DEADLINE):
            assert (await small.get("/healthz", "")).status == 200
            assert (await small.get("/jobs")).status == 200
        counts = small.services.connections.counts()
        assert counts[budget.PeerKind.ANONYMOUS] <= 20
        assert counts[budget.PeerKind.LINK] == 1


async def test_a_link_is_not_anonymous_and_nobody_takes_its_room(small: Live) -> None:
    tokens = [await small.register(name) for name in ("a", "b")]
    counts = small.services.connections.counts
    async with AsyncExitStack() as stack:
        links = [await stack.enter_async_context(small.connect(token)) for token in tokens]
        # The session's own connection is a client's; an upgraded one is not anonymous any more.
        assert counts()[budget.PeerKind.ANONYMOUS] == 0
        assert counts()[budget.PeerKind.LINK] == 2
        for number in range(300):
            _, writer = await stack.enter_async_context(small.wire())
            if number % 3:
                writer.write((b"GET /healthz HT", GARBAGE)[number % 2])
        async with asyncio.timeout(DEADLINE):
            while counts()[budget.PeerKind.ANONYMOUS] < 20:
                await asyncio.sleep(0.01)
        for link in links:
            await link.send(Heartbeat(seq=1))
            await link.until("heartbeat_ack")
        assert counts()[budget.PeerKind.LINK] == 2
        small.services.connections.relieve()
        assert counts()[budget.PeerKind.LINK] == 2
    async with asyncio.timeout(DEADLINE):
        while counts()[budget.PeerKind.LINK]:
            await asyncio.sleep(0.01)


async def test_thousands_of_connections_do_not_keep_agents_from_connecting(
    small: Live,
) -> None:
    """They come all the time, each newer than the agent's connection, and say nothing."""
    tokens = [await small.register(name) for name in "abcde"]
    small.services.connections.allowed = Allowance(64, 64, 4, 10)
    came = 0
    wires: deque[socket.socket] = deque()
    loop = asyncio.get_running_loop()

    async def flood() -> None:
        nonlocal came
        while True:
            wires.append(socket.socket())
            wires[-1].setblocking(False)
            with suppress(OSError):
                await loop.sock_connect(wires[-1], tuple(small.server.address))
                came += 1
            while len(wires) > 100:
                wires.popleft().close()

    floods = [asyncio.create_task(flood()) for _ in range(8)]
    try:
        async with asyncio.timeout(3 * DEADLINE), AsyncExitStack() as stack:
            links = []
            for number, token in enumerate(tokens, 1):
                while came < 600 * number:
                    await asyncio.sleep(0)
                links.append(await stack.enter_async_context(small.connect(token)))
            assert came >= 3000
            for link in links:
                await link.send(Heartbeat(seq=1))
                await link.until("heartbeat_ack")
            assert small.services.connections.counts()[budget.PeerKind.LINK] == 5
    finally:
        for task in floods:
            task.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
        for wire in wires:
            wire.close()


async def test_links_that_one_agent_opens_and_leaves_open_are_few(small: Live) -> None:
    token, other = await small.register("a"), await small.register("b")
    small.services.connections.allowed = Allowance(100, 100, 4, 20)
    request = (
        b"GET /api/v1/agent/session HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: " + SUBPROTOCOL.encode() + b"\r\n"
        b"Authorization: Bearer " + token.encode() + b"\r\n\r\n"
    )
    async with AsyncExitStack() as stack, asyncio.timeout(DEADLINE):
        wires = []
        for _ in range(60):
            reader, writer = await stack.enter_async_context(small.wire())
            writer.write(request)
            wires.append(reader)
        # From now on nothing is read: no close of the server is answered.
        said = [int((await reader.readline()).split(b" ")[1]) for reader in wires]
        assert 101 in said and {101, 503}.issuperset(said)
        assert small.services.connections.counts()[budget.PeerKind.LINK] <= EACH_AGENT
        async with small.connect(other) as link:
            while small.services.connections.counts()[budget.PeerKind.LINK] != 2:
                await asyncio.sleep(0.01)
            await link.send(Heartbeat(seq=1))
            await link.until("heartbeat_ack")


async def test_unfinished_heads_are_bounded(small: Live) -> None:
    with capture_logs() as logs:
        async with small.wire() as (reader, writer):
            with suppress(ConnectionError):
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
                for number in range(60):
                    writer.write(b"X-%d: " % number + b"y" * 1000 + b"\r\n")
                    await writer.drain()
                async with asyncio.timeout(DEADLINE):
                    assert (await reader.read())[:12] in (b"HTTP/1.1 431", b"")
    assert alarms(logs) == ["malformed request"]


async def test_a_head_has_its_time(small: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "HEAD_TIME", 0.5)
    async with small.wire() as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost")
        with suppress(ConnectionError):
            async with asyncio.timeout(DEADLINE):
                assert await reader.read() == b""


async def test_malformed_requests_are_one_line_and_a_problem(small: Live) -> None:
    with capture_logs() as logs:
        for _ in range(20):
            answer = await small.raw(b"\x16\x03\x01\x02\x00\x01\x00 nonsense\r\n\r\n")
            assert answer.startswith(b"HTTP/1.0 400 ")
            assert b"application/problem+json" in answer
            assert b"aiohttp" not in answer
            assert b"Server: remote-server\r\n" in answer
    assert alarms(logs) == ["malformed request"]


async def test_no_free_file_is_one_line_and_passes(
    small: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    accept, refusals = loop.sock_accept, [0]

    async def none_free(listening: socket.socket) -> object:
        if refusals[0] < 5:
            refusals[0] += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listening)

    with capture_logs() as logs:
        monkeypatch.setattr(loop, "sock_accept", none_free)
        async with small.wire(), small.wire(), asyncio.timeout(DEADLINE):
            assert (await small.get("/healthz", "")).status == 200
    said = [entry for entry in logs if "no file" in entry["event"]]
    assert refusals == [5]
    assert len(said) == 1
    assert "LimitNOFILE" in said[0]["cure"]


async def test_a_client_that_leaves_ends_its_stream_at_once(small: Live) -> None:
    async with small.open("GET", "/events", headers={"Accept": "text/event-stream"}) as stream:
        await stream.content.readany()
        assert len(small.services.streams._open) == 1
    async with asyncio.timeout(DEADLINE):
        while small.services.streams._open:
            await asyncio.sleep(0.01)


async def test_a_pipeline_is_bounded(small: Live) -> None:
    """Requests after one whose answers are not read."""
    one = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 4000 + b"\r\n\r\n"

    def peers() -> list[Connection]:
        return [
            peer
            for peer in small.server._runner.server.connections  # type: ignore[union-attr]
            if isinstance(peer, Connection) and peer.requests > 5
        ]

    async with small.wire() as (_, writer):
        with suppress(ConnectionError):
            for _ in range(2000):
                writer.write(one)
                try:
                    async with asyncio.timeout(0.5):
                        await writer.drain()
                except TimeoutError:
                    if peers():
                        break
        (peer,) = peers()
        assert len(peer._messages) <= 64
        assert (await small.get("/healthz", "")).status == 200


async def test_ports_in_use_and_no_addresses_are_errors() -> None:
    connections = Connections(Allowance(8, 8, 8, 8), 60.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = Listener(asyncio.Protocol, connections)
        with pytest.raises(OSError) as caught:
            await listener.open(Address("127.0.0.1", taken.getsockname()[1]))
        assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(OSError):
        await Listener(asyncio.Protocol, connections).open(Address("192.0.2.1", 0))
