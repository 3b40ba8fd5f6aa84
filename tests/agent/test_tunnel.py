"""CONNECT through real proxies on the loopback: good ones, strict ones, and what is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.exceptions import InvalidProxy, InvalidProxyMessage, InvalidProxyStatus

from remote_agent.tunnel import open_tunnel
from tests.support.connect_proxy import ConnectProxy


@asynccontextmanager
async def speaker(answer: bytes) -> AsyncIterator[int]:
    """A port where everybody is told the same; a thing that is perhaps no proxy."""

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer + await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(tell, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("written", "said"),
    [("", None), ("me:secret@", "me:secret"), ("m%2Fe:p%40s%25s%3F%C3%A9:x@", "m/e:p@s%s?é:x")],
)
async def test_bytes_pass_and_any_password_arrives(written: str, said: str | None) -> None:
    async with speaker(b"hello ") as port:
        with ConnectProxy(("127.0.0.1", port), said) as proxy:
            wire = await open_tunnel(f"http://{written}{proxy.place}", "there.invalid", 443)
            reader, writer = await asyncio.open_connection(sock=wire)
            writer.write(b"from here\n")
            assert await reader.read() == b"hello from here\n"
            writer.close()
            await writer.wait_closed()
    assert proxy.asked == ["CONNECT there.invalid:443 HTTP/1.1"]


async def test_a_refusal_has_its_status() -> None:
    proxy = ConnectProxy(("127.0.0.1", 1), "me:secret")
    with proxy, pytest.raises(InvalidProxyStatus) as refused:
        await open_tunnel(f"http://me:wrong@{proxy.place}", "there", 1)
    assert refused.value.response.status_code == 407
    async with speaker(b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as port:
        with pytest.raises(InvalidProxyStatus) as refused:
            await open_tunnel(f"http://127.0.0.1:{port}", "there", 1)
    assert refused.value.response.status_code == 502


@pytest.mark.parametrize("answer", [b"", b"220 a.b ESMTP\r\n\r\n", b"HTTP/1.1 yes\r\n\r\n"])
async def test_what_is_no_proxy(answer: bytes) -> None:
    async with speaker(answer) as port:
        with pytest.raises(InvalidProxyMessage):
            await open_tunnel(f"http://127.0.0.1:{port}", "there", 1)


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1080", "https://127.0.0.1:3128", "http://"])
async def test_a_proxy_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(InvalidProxy):
        await open_tunnel(url, "there", 1)


async def test_an_ipv6_address_is_put_in_brackets() -> None:
    async with speaker(b"") as port:
        with ConnectProxy(("127.0.0.1", port)) as proxy:
            (await open_tunnel(proxy.url, "::1", 8750)).close()
    assert proxy.asked == ["CONNECT [::1]:8750 HTTP/1.1"]
