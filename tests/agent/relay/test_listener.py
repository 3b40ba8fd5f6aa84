"""The endpoint of an attempt: whom it answers, how many at a time, until when."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from remote_agent.relay import listener, wire
from remote_agent.relay.listener import Client, Listener, Slots, answer_head, problem
from remote_agent.relay.upstream import ServerAway
from remote_protocol.relay import AT_ONCE, MAX_RELAYED

SECRET = "5ec4e7"


class Place:
    """One endpoint, whose requests this test answers."""

    def __init__(self) -> None:
        raw = socket.socket()
        raw.bind(("127.0.0.1", 0))
        raw.listen()
        raw.setblocking(False)
        self.port = raw.getsockname()[1]
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.slots = Slots(AT_ONCE + 1)
        self.listener = Listener(raw, SECRET, self.slots, self.forward)

    async def forward(self, client: Client, head: wire.Head, target: str, length: int) -> bool:
        self.asked.append(f"{head.words[0]} {target} {length}")
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        client.writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        return True

    async def says(self, request: str, *, ends: bool = False) -> tuple[int, str]:
        """Status and detail of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(20):
                writer.write(request.encode())
                if ends:
                    writer.write_eof()
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                status = int(head.split(" ")[1])
                body = b"" if status == 204 else await reader.read()
                return status, json.loads(body)["detail"] if body else ""
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def asks(self, target: str, method: str = "GET", more: str = "") -> tuple[int, str]:
        return await self.says(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{more}\r\n")


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    found = Place()
    yield found
    found.gate.set()
    found.listener.close()
    async with asyncio.timeout(20):
        while found.listener._tasks:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)


async def test_the_job_is_answered(place: Place) -> None:
    assert await place.asks(f"/{SECRET}/items/a?b") == (204, "")
    assert await place.asks(f"/{SECRET}", "POST", "Content-Length: 0\r\n") == (204, "")
    assert place.asked == ["GET /items/a?b 0", "POST / 0"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        *(("/", 404), ("/items", 404), ("/5ec4e/items", 404), ("//items", 404)),
        *((f"http://a/{SECRET}/items", 404), ("*", 404), (f"a/{SECRET}/x", 404)),
        *((f"/{SECRET}/../a", 403), (f"/{SECRET}//a", 403), (f"/{SECRET}/%2e%2e/a", 403)),
    ],
)
async def test_nobody_else_and_nowhere_else(place: Place, target: str, status: int) -> None:
    assert (await place.asks(target))[0] == status
    assert place.asked == []


async def test_what_is_not_relayed(place: Place) -> None:
    assert (await place.asks(f"/{SECRET}/a", "TRACE"))[0] == 501
    large = f"Content-Length: {MAX_RELAYED + 1}\r\n"
    assert (await place.asks(f"/{SECRET}/a", "PUT", large))[0] == 413
    assert (await place.says("hello\r\n\r\n"))[0] == 400
    assert (await place.says("GET / HT", ends=True))[0] == 400
    assert place.asked == []


async def test_failures_are_problems(place: Place) -> None:
    place.error = ServerAway("the server cannot be reached: it sleeps")
    assert await place.asks(f"/{SECRET}/a") == (
        503,
        "relay: the server cannot be reached: it sleeps",
    )
    place.error = TimeoutError()
    assert (await place.asks(f"/{SECRET}/a"))[0] == 504


async def test_so_many_at_a_time(place: Place) -> None:
    place.gate.clear()
    waiting = [asyncio.ensure_future(place.asks(f"/{SECRET}/{n}")) for n in range(AT_ONCE)]
    async with asyncio.timeout(20):
        while len(place.asked) < AT_ONCE:
            await asyncio.sleep(0.01)
    status, detail = await place.asks(f"/{SECRET}/more")
    assert status == 503 and f"{AT_ONCE} requests of this job" in detail
    place.gate.set()
    assert [status for status, _ in await asyncio.gather(*waiting)] == [204] * AT_ONCE
    place.slots.taken = place.slots.most
    status, detail = await place.asks(f"/{SECRET}/more")
    assert status == 503 and "this agent's jobs" in detail
    place.slots.taken = 0
    assert await place.asks(f"/{SECRET}/more") == (204, "")
    assert place.slots.taken == 0


async def test_a_slow_head_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_WITHIN", 0.2)
    status, detail = await place.says("GET /")
    assert status == 408 and "too slowly" in detail


async def test_too_many_connections(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MOST_CONNECTIONS", 1)
    kept = await asyncio.open_connection("127.0.0.1", place.port)
    kept[1].write(f"GET /{SECRET}/a HTTP/1.1\r\n\r\n".encode())
    assert (await kept[0].readline()).startswith(b"HTTP/1.1 204")
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    assert (await reader.readline()).startswith(b"HTTP/1.1 503")
    writer.close()
    kept[1].close()


async def test_strangers_take_no_connection_from_the_job(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MOST_CONNECTIONS", 3)
    kept = await asyncio.open_connection("127.0.0.1", place.port)
    kept[1].write(f"GET /{SECRET}/a HTTP/1.1\r\n\r\n".encode())
    assert (await kept[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    silent = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(20)]
    assert await place.asks(f"/{SECRET}/b") == (204, "")
    async with asyncio.timeout(20):
        for reader, _ in silent[:17]:
            with suppress(ConnectionError):
                assert await reader.read() == b""
    assert faults == []
    kept[1].write(f"GET /{SECRET}/c HTTP/1.1\r\n\r\n".encode())
    assert (await kept[0].readline()).startswith(b"HTTP/1.1 204")
    for _, writer in [kept, *silent]:
        writer.close()


async def test_the_end_cuts_everything(place: Place) -> None:
    place.gate.clear()
    asking = asyncio.ensure_future(place.asks(f"/{SECRET}/a"))
    async with asyncio.timeout(20):
        while not place.asked:
            await asyncio.sleep(0.01)
    place.listener.close()
    place.listener.close()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asking
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", place.port)


def test_answers_as_bytes() -> None:
    said = problem(503, "later")
    assert said.startswith(b"HTTP/1.1 503 Service Unavailable\r\n") and b"Retry-After: 1" in said
    headers = [("X-A", "b"), ("Connection", "close"), ("Set-Cookie", "c")]
    assert answer_head(299, headers, ("Content-Length", "0")) == (
        b"HTTP/1.1 299 \r\nX-A: b\r\nContent-Length: 0\r\n\r\n"
    )
