"""Connections to the server: kept while they are open; certificates are read now and then."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import trustme

from remote_agent.connection.endpoint import Endpoint
from remote_agent.relay import upstream
from remote_agent.relay.upstream import IDLE, ServerAway, TlsCache, connect
from tests.support.connect_proxy import ConnectProxy
from tests.support.ports import free_port


async def test_a_connection_is_used_again_while_it_is_open() -> None:
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(
        lambda reader, writer: writers.append(writer), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    found = await connect(Endpoint(f"http://127.0.0.1:{port}"), TlsCache())
    assert found.usable
    found.used_at = time.monotonic() - IDLE - 1
    assert not found.usable
    found.used_at = time.monotonic()
    async with asyncio.timeout(10):
        while not writers:
            await asyncio.sleep(0.01)
        writers[0].close()
        while found.usable:
            await asyncio.sleep(0.01)
    found.close()
    server.close()


async def test_who_is_away_is_named() -> None:
    port = free_port()
    with pytest.raises(ServerAway, match="cannot be reached") as caught:
        await connect(Endpoint(f"http://127.0.0.1:{port}", token="hush"), TlsCache())
    assert "hush" not in str(caught.value)


async def test_through_a_proxy() -> None:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # As servers of HTTP do: what comes before a request may be read with the proxy's answer.
        await reader.readline()
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(hello, "127.0.0.1", 0)
    target = server.sockets[0].getsockname()
    with ConnectProxy(target, "me:hush") as proxy:
        way = f"http://me:hush@{proxy.place}"
        found = await connect(Endpoint("http://jobs.invalid:80", proxy=way), TlsCache())
        found.writer.write(b"hello?\n")
        assert await found.reader.read() == b"hello"
        found.close()
        wrong = Endpoint("http://jobs.invalid:80", proxy=f"http://me:other@{proxy.place}")
        with pytest.raises(ServerAway, match="407") as caught:
            await connect(wrong, TlsCache())
        assert "other" not in str(caught.value)
    server.close()


def test_certificates_are_read_anew_after_a_while(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    now = 0.0
    cache = TlsCache(lambda: now)
    first = cache.of(Endpoint("https://a", ca_file=str(file)))
    assert cache.of(Endpoint("https://a", ca_file=str(file))) is first
    assert cache.of(Endpoint("https://a", token="new", ca_file=str(file))) is not first
    again = cache.of(Endpoint("https://a", ca_file=str(file)))
    now = upstream._TLS_AGE + 1
    assert cache.of(Endpoint("https://a", ca_file=str(file))) is not again
