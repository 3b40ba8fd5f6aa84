"""One HTTP connection against real sockets: heads, bodies, ends and cuts."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from remote_client.asyncio_network import AsyncioNetwork
from remote_client.connection import Broken, Connection, Response, Way
from remote_client.modes import run
from remote_client.network import BlockingNetwork, Network
from tests.support.ports import free_port

Drive = Callable[[Any], Any]
"""Runs a coroutine to its end."""


class Link:
    """A connection, driven step by step over one of the networks."""

    def __init__(self, drive: Drive, way: Way, network: Network) -> None:
        self._drive = drive
        self._link: Connection = drive(Connection.open(way, network))
        self.close = self._link.close

    @property
    def reusable(self) -> bool:
        return self._link.reusable

    def request(self, *args: Any, **named: Any) -> None:
        self._drive(self._link.request(*args, **named))

    def response(self, timeout: float) -> Response | None:
        return self._drive(self._link.response(timeout))

    def read(self, timeout: float) -> bytes | None:
        return self._drive(self._link.read(timeout))


class Server:
    """Answers each connection with bytes, then closes it or waits for the next request."""

    def __init__(self, drive: Drive, network: Network) -> None:
        self.drive = drive
        self.network = network
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.heard: list[bytes] = []
        self.threads: list[threading.Thread] = []

    @property
    def way(self) -> Way:
        return Way("127.0.0.1", self.listener.getsockname()[1])

    def says(self, *answers: bytes, closes: bool = True) -> Link:
        """A connection to a server that gives these answers to requests without a body."""

        def serve() -> None:
            wire, _ = self.listener.accept()
            with wire:
                for answer in answers:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += wire.recv(65536)
                    self.heard.append(head)
                    wire.sendall(answer)
                if not closes:
                    wire.recv(1)

        self.threads.append(threading.Thread(target=serve, daemon=True))
        self.threads[-1].start()
        return self.open()

    def open(self) -> Link:
        return Link(self.drive, self.way, self.network)


@pytest.fixture(params=["blocking", "asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with asyncio.Runner() as runner:
        if request.param == "blocking":
            made = Server(run, BlockingNetwork())
        else:
            made = Server(runner.run, AsyncioNetwork())
        yield from served(made)


def served(made: Server) -> Iterator[Server]:
    yield made
    made.listener.close()
    for thread in made.threads:
        thread.join(30)


def whole(link: Link) -> bytes:
    parts = []
    while piece := link.read(10):
        parts.append(piece)
    assert piece == b""
    return b"".join(parts)


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Y: z\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
CLOSED = b"HTTP/1.0 200 OK\r\n\r\nhello"


@pytest.mark.parametrize(("answer", "delimited"), [(LENGTH, True), (CHUNKS, True), (CLOSED, False)])
def test_three_ways_to_end(server: Server, answer: bytes, delimited: bool) -> None:
    link = server.says(answer)
    link.request("GET", "/a?b=c", {"X-Mine": "1"})
    head = link.response(10)
    assert head is not None
    assert (head.status, head.delimited, whole(link)) == (200, delimited, b"hello")
    port = server.way.port
    assert server.heard[0].startswith(b"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port)
    link.close()


@pytest.mark.parametrize("answer", [LENGTH, CHUNKS])
def test_a_cut_at_any_byte_is_told(server: Server, answer: bytes) -> None:
    for end in range(len(answer)):
        link = server.says(answer[:end])
        link.request("GET", "/", {})
        with pytest.raises(Broken) as caught:
            assert link.response(10) is not None
            whole(link)
        assert caught.value.sent and caught.value.silenced
        link.close()


def test_a_connection_serves_again(server: Server) -> None:
    link = server.says(CHUNKS, LENGTH, closes=False)
    for _ in range(2):
        assert link.reusable
        link.request("GET", "/", {})
        assert link.response(10) and whole(link) == b"hello"
    assert link.reusable
    link.close()


def test_a_connection_that_was_closed_does_not(server: Server) -> None:
    link = server.says(LENGTH)
    link.request("GET", "/", {})
    assert link.response(10) and whole(link) == b"hello"
    server.threads[-1].join(30)
    assert not link.reusable
    link.close()


def test_silence_is_no_end(server: Server) -> None:
    link = server.says(LENGTH[:-1], closes=False)
    link.request("GET", "/", {})
    assert link.response(10) is not None
    assert (link.read(10), link.read(0.01), link.read(0.01)) == (b"hell", None, None)
    link.close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000, "not HTTP"),
        (LENGTH[:-2], "broke off"),
    ],
)
def test_what_went_wrong_in_words(server: Server, answer: bytes, says: str) -> None:
    link = server.says(answer)
    link.request("GET", "/", {})
    with pytest.raises(Broken, match=says):
        assert link.response(10) is not None
        whole(link)
    link.close()


def test_nobody_there(server: Server) -> None:
    way = Way("127.0.0.1", free_port())
    with pytest.raises(Broken, match=r"refused|Connect call failed") as caught:
        Link(server.drive, way, server.network)
    assert not caught.value.sent


def test_sending_is_told_before_the_first_byte(server: Server) -> None:
    link = server.says(LENGTH)
    told: list[int] = []
    remember: Callable[[], None] = lambda: told.append(len(server.heard))  # noqa: E731 - typed
    link.request("POST", "/", {}, b"{}", sending=remember)
    assert link.response(10) is not None
    assert told == [0] and b"Content-Length: 2" in server.heard[0]
    link.close()


@pytest.mark.parametrize(
    ("way", "authority"),
    [(Way("host", 80), "host"), (Way("host", 8750), "host:8750"), (Way("::1", 80), "[::1]")],
)
def test_hosts_as_urls_have_them(way: Way, authority: str) -> None:
    assert way.authority == authority
