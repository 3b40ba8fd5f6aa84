"""Accepting under attack, on real sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from remote_server.config import Address
from remote_server.web import connections as budget
from remote_server.web.connection import Connection
from remote_server.web.connections import Allowance, Connections
from remote_server.web.listener import Listener
from tests.support.live_server import Live, config_for, running

DEADLINE = 30.0


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Live]:
    """A server with room for few."""
    async with running(config_for(tmp_path)) as live:
        live.services.connections.allowed = Allowance(20, 5, 4, 5)
        yield live


async def test_idle_strangers_leave_room_for_everybody_else(small: Live) -> None:
    agent = await small.register()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(small.connect(agent))
        for _ in range(200):
            await stack.enter_async_context(small.wire())
        async with asyncio.timeout(DEADLINE):
            assert (await small.get("/healthz", "")).status == 200
            assert (await small.get("/jobs")).status == 200
        counts = small.services.connections.counts()
        assert counts[budget.Standing.STRANGER] <= 20
        assert counts[budget.Standing.LINK] == 1


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
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == [
        "malformed request"
    ]


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
    lines = [entry for entry in logs if entry["log_level"] in ("warning", "error")]
    assert [line["event"] for line in lines] == ["malformed request"]


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
    """Requests behind one whose answers are not read."""
    one = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 4000 + b"\r\n\r\n"
    async with small.wire() as (_, writer):
        with suppress(ConnectionError, TimeoutError):
            for _ in range(2000):
                writer.write(one)
                async with asyncio.timeout(0.5):
                    await writer.drain()
        (peer,) = [
            peer
            for peer in small.server._runner.server.connections  # type: ignore[union-attr]
            if isinstance(peer, Connection) and peer.requests > 5
        ]
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
