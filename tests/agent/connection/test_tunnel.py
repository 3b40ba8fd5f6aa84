"""CONNECT through real proxies on the loopback: good ones, strict ones, and what is none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from websockets.exceptions import InvalidProxy, InvalidProxyMessage, InvalidProxyStatus

from remote_agent.connection.tunnel import open_tunnel
from tests.support.connect_proxy import ConnectProxy


@contextmanager
def speaker(answer: bytes) -> Iterator[int]:
    """A port where everybody is told the same; a thing that is perhaps no proxy.

    By threads, whose end `server_close` waits for: an asyncio server leaves calls behind.
    """

    class Tell(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.wfile.write(answer + self.rfile.readline())

    with ThreadingTCPServer(("127.0.0.1", 0), Tell) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("written", "said"),
    [("", None), ("me:secret@", "me:secret"), ("m%2Fe:p%40s%25s%3F%C3%A9:x@", "m/e:p@s%s?é:x")],
)
async def test_bytes_pass_and_any_password_arrives(written: str, said: str | None) -> None:
    with speaker(b"hello ") as port, ConnectProxy(("127.0.0.1", port), said) as proxy:
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
    bad = speaker(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    with bad as port, pytest.raises(InvalidProxyStatus) as refused:
        await open_tunnel(f"http://127.0.0.1:{port}", "there", 1)
    assert refused.value.response.status_code == 502


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"220 a.b ESMTP\r\n\r\n",
        b"HTTP/1.1 yes\r\n\r\n",
        b"HTTP/1.1 %s\r\n\r\n" % (b"9" * 5000),
    ],
)
async def test_what_is_no_proxy(answer: bytes) -> None:
    with speaker(answer) as port, pytest.raises(InvalidProxyMessage):
        await open_tunnel(f"http://127.0.0.1:{port}", "there", 1)


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1080", "https://127.0.0.1:3128", "http://"])
async def test_a_proxy_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(InvalidProxy):
        await open_tunnel(url, "there", 1)


async def test_an_ipv6_address_is_put_in_brackets() -> None:
    with speaker(b"") as port, ConnectProxy(("127.0.0.1", port)) as proxy:
        (await open_tunnel(proxy.url, "::1", 8750)).close()
    assert proxy.asked == ["CONNECT [::1]:8750 HTTP/1.1"]
