"""One relayed request: what goes to the server, and what becomes of what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from remote_agent.connection.endpoint import Endpoint
from remote_agent.relay import exchange, wire
from remote_agent.relay.exchange import Exchange
from remote_agent.relay.listener import Client, Refused
from remote_agent.relay.upstream import ServerAway
from remote_protocol.attempt_id import AttemptId

KEY = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAX", 1)


class Place:
    """A server that answers as the test says, and a job's connection."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.links = 0
        self.serving = 0
        self.answer = b""
        self.closes = False

    async def open(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.endpoint = Endpoint(f"http://127.0.0.1:{port}/below", token="rat_x")
        self.exchange = Exchange(lambda: self.endpoint)
        ends: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self.front = await asyncio.start_server(
            lambda r, w: ends.set_result(Client(r, w)), "127.0.0.1", 0
        )
        where = self.front.sockets[0].getsockname()[1]
        self.job = await asyncio.open_connection("127.0.0.1", where)
        self.client = await ends

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links += 1
        self.serving += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"Content-Length: 5" in head:
                    head += await reader.readexactly(5)
                elif b"chunked" in head:
                    head += await reader.readuntil(b"0\r\n\r\n")
                self.got.append(head)
                writer.write(self.answer)
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self.serving -= 1

    async def ask(self, *headers: tuple[str, str], method: str = "GET", body: bytes = b"") -> bool:
        head = wire.Head((method, "/x"), 1, list(headers))
        self.job[1].write(body)
        async with asyncio.timeout(20):
            length = wire.length_of_request(head)
            return await self.exchange.forward(KEY, self.client, head, "/items/a?b", length)

    async def came(self, end: bytes) -> bytes:
        """What the job has got, up to this."""
        async with asyncio.timeout(20):
            return await self.job[0].readuntil(end)

    async def close(self) -> None:
        self.client.close()
        self.job[1].close()
        self.server.close()
        self.front.close()
        with suppress(ConnectionError):
            await self.job[1].wait_closed()
        async with asyncio.timeout(20):
            while self.serving:
                await asyncio.sleep(0.01)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    found = Place()
    await found.open()
    yield found
    await found.close()


def relayed(status: int, rest: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Relayed-Status: %d" % status, *headers, rest]
    return b"\r\n".join(lines)


async def test_the_request_is_wrapped(place: Place) -> None:
    place.answer = relayed(404, b"Content-Length: 2\r\n\r\nno", b"Relayed-X-A: b", b"Server: own")
    assert await place.ask(("Authorization", "Bearer its-own"), ("Host", "x"), ("Cookie", "y"))
    assert (
        await place.came(b"no")
        == b"HTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Length: 2\r\n\r\nno"
    )
    lines = place.got[0].decode().split("\r\n")
    assert lines[0] == f"POST /below/api/v1/agent/relay/{KEY} HTTP/1.1"
    assert "Authorization: Bearer rat_x" in lines
    assert "Relayed-Authorization: Bearer its-own" in lines
    assert "Relayed-Method: GET" in lines and "Relayed-Target: /items/a?b" in lines
    assert not [line for line in lines if "Cookie" in line or "Relayed-Host" in line]
    # The same connection again, while it is open.
    assert await place.ask()
    assert place.links == 1
    place.closes = True
    assert await place.ask()
    await place.came(b"no")
    place.closes = False
    async with asyncio.timeout(20):
        while place.client.upstream is not None and place.client.upstream.usable:
            await asyncio.sleep(0.01)
    assert await place.ask()
    assert place.links == 2


async def test_bodies_pass_in_their_form(place: Place) -> None:
    place.answer = relayed(200, b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
    assert await place.ask(("Content-Length", "5"), method="PUT", body=b"12345")
    assert place.got[0].endswith(b"\r\n\r\n12345")
    assert (await place.came(b"0\r\n\r\n")).endswith(b"chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
    coded = b"3\r\nabc\r\n0\r\n\r\n"
    assert await place.ask(("Transfer-Encoding", "chunked"), ("Expect", "100-continue"), body=coded)
    assert place.got[1].endswith(coded)
    assert (await place.came(b"0\r\n\r\n")).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
    place.answer = relayed(200, b"Content-Length: 0\r\n\r\n")
    assert await place.ask(method="HEAD")
    assert await place.came(b"\r\n\r\n") == b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ('403 F\r\nContent-Length: 22\r\n\r\n{"detail": "not this"}', 403, "not this"),
        (
            '401 U\r\nContent-Length: 22\r\n\r\n{"detail": "no token"}',
            502,
            "answered 401: no token",
        ),
        (
            '429 T\r\nContent-Length: 22\r\n\r\n{"detail": "too many"}',
            503,
            "answered 429: too many",
        ),
        ("502 B\r\nContent-Length: 6\r\n\r\n<html>", 503, "answered 502"),
        ("200 OK\r\nContent-Length: 6\r\n\r\n<html>", 502, "answered 200"),
        ("302 F\r\nLocation: http://x\r\nContent-Length: 0\r\n\r\n", 502, "answered 302"),
        ("200 OK\r\nRelayed-Status: 2x0\r\nContent-Length: 0\r\n\r\n", 502, "answered 200"),
        ("200 OK\r\nA: b\r\n" + "A: b\r\n" * 48 + "\r\n", 502, "more than 48 headers"),
        ("200 OK\r\nRelayed-Status: 200\r\nno header\r\n\r\n", 502, "a header is malformed"),
        ("200 OK\r\nRelayed-Status: 200\r\nContent-Length: x\r\n\r\n", 502, "not one number"),
    ],
)
async def test_what_the_server_says_itself_is_no_answer(
    place: Place, said: str, status: int, words: str
) -> None:
    place.answer = f"HTTP/1.1 {said}".encode()
    with pytest.raises(Refused) as caught:
        await place.ask()
    assert caught.value.status == status and words in caught.value.detail


async def test_a_server_that_is_cut(place: Place) -> None:
    place.closes = True
    with pytest.raises(ServerAway, match="closed the connection without an answer"):
        await place.ask()
    place.server.close()
    with pytest.raises(ServerAway, match="cannot be reached"):
        await place.ask()


async def test_an_answer_that_breaks_off_does_not_look_complete(place: Place) -> None:
    place.answer, place.closes = relayed(200, b"Content-Length: 9\r\n\r\nsome"), True
    with pytest.raises(wire.BadMessage):
        await place.ask()
    assert place.client.answered
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await place.came(b"never")


async def test_a_body_that_does_not_come(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SENT_WITHIN", 0.2)
    with pytest.raises(wire.BadMessage, match="too slowly") as caught:
        await place.ask(("Content-Length", "5"), method="PUT", body=b"12")
    assert caught.value.status == 408


async def test_a_refusal_may_come_before_the_body_has_gone(place: Place) -> None:
    said = b'{"detail": "too large"}'

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        await reader.readuntil(b"\r\n\r\n")
        size = b"Content-Length: %d" % len(said)
        writer.write(b"HTTP/1.1 413 L\r\nConnection: close\r\n" + size + b"\r\n\r\n" + said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(early, "127.0.0.1", 0)
    place.endpoint = Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    with pytest.raises(Refused, match="too large"):
        await place.ask(("Content-Length", "1000"), method="PUT", body=b"12345")
    server.close()
