"""Metrics over HTTP, on the loopback interface only."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from remote_agent.local.metrics_endpoint import MetricsEndpoint

TEXT = "# HELP x Things.\n# TYPE x gauge\nx 1\n"


@asynccontextmanager
async def served(listen: str = "127.0.0.1:0") -> AsyncIterator[MetricsEndpoint]:
    endpoint = MetricsEndpoint(listen, lambda: TEXT, retry=0.05)
    task = asyncio.create_task(endpoint.run())
    try:
        yield endpoint
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def port_of(endpoint: MetricsEndpoint) -> int:
    async with asyncio.timeout(60):
        while endpoint.port is None:
            await asyncio.sleep(0.01)
    return endpoint.port


async def ask(endpoint: MetricsEndpoint, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", await port_of(endpoint))
    try:
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                writer.write(request)
                return await reader.read()
            return b""
    finally:
        writer.transport.abort()


def get(path: str, host: str = "127.0.0.1:9087", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode()


@pytest.mark.parametrize("path", ["/metrics", "/telemetry", "/metrics?x=1"])
async def test_both_paths_have_them(path: str) -> None:
    async with served() as endpoint:
        head, _, body = (await ask(endpoint, get(path))).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4;")
    assert f"Content-Length: {len(TEXT)}".encode() in head
    assert body.decode() == TEXT


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "[::1]:9087", "127.0.0.1"])
async def test_names_of_this_host(host: str) -> None:
    async with served() as endpoint:
        assert (await ask(endpoint, get("/metrics", host))).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/"), b"404"),
        (get("/metrics", method="POST"), b"405"),
        # A page whose name was made to point to this host.
        (get("/metrics", "attacker.example:9087"), b"403"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"403"),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", b"403"),
        (b"\xff\xfe\r\n\r\n", b"403"),
    ],
)
async def test_what_is_refused(request_: bytes, status: bytes) -> None:
    async with served() as endpoint:
        answer = await ask(endpoint, request_)
        assert answer.split()[1] == status
        assert TEXT.encode() not in answer


async def test_a_head_has_no_body() -> None:
    async with served() as endpoint:
        answer = await ask(endpoint, get("/metrics", method="HEAD"))
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n")


async def test_a_head_without_end_is_cut_off() -> None:
    async with served() as endpoint:
        assert await ask(endpoint, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000) == b""
        assert (await ask(endpoint, get("/metrics"))).startswith(b"HTTP/1.1 200")


async def test_connections_beyond_the_bound_get_no_answer() -> None:
    async with served() as endpoint:
        port = await port_of(endpoint)
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(16)]
        assert await ask(endpoint, get("/metrics")) == b""
        for _, writer in idle:
            writer.transport.abort()
        async with asyncio.timeout(60):
            while not (await ask(endpoint, get("/metrics"))).startswith(b"HTTP/1.1 200"):
                await asyncio.sleep(0.02)


async def test_an_address_in_use_is_tried_again() -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    async with served(f"127.0.0.1:{port}") as endpoint:
        await asyncio.sleep(0)
        assert endpoint.port is None
        taken.close()
        assert (await ask(endpoint, get("/metrics"))).startswith(b"HTTP/1.1 200")
