"""Requests and tunnels over a wire whose other end sends what it likes, as long as it likes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from remote_protocol.reachability.exchange import get, open_tunnel
from remote_protocol.reachability.ports import Answer
from tests.support.fake_network import FakeNetwork, FakeWire


class Endless(FakeWire):
    """Every piece takes a quarter of a second, and there is always another one."""

    def __init__(self, network: Slow, first: bytes, then: bytes) -> None:
        super().__init__()
        self._network = network
        self.pieces: Iterator[bytes] = itertools.chain([first], itertools.repeat(then))
        self.timeouts: list[float] = []

    def settimeout(self, seconds: float, /) -> None:
        self.timeouts.append(seconds)

    def recv(self, size: int, /) -> bytes:
        self._network.time += 0.25
        return next(self.pieces)[:size]


class Slow(FakeNetwork):
    """Its clock goes by what comes."""

    time = 5.0

    def clock(self) -> float:
        return self.time


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
def test_an_answer_has_one_time_as_a_whole(first: bytes, then: bytes) -> None:
    network = Slow()
    wire = Endless(network, first or then, then)
    with pytest.raises(TimeoutError):
        get(network, wire, "h", "/", {})
    assert wire.closed
    assert wire.timeouts == [1.0, 0.75, 0.5, 0.25]


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nX: ", b"SSH"])
def test_so_has_a_tunnel(first: bytes) -> None:
    network = Slow()
    wire = Endless(network, first, b"x")
    with pytest.raises(TimeoutError):
        open_tunnel(network, wire, "http://proxy", "h", 1)
    assert wire.timeouts == [1.0, 0.75, 0.5, 0.25]


def test_an_answer_is_bounded_in_bytes() -> None:
    body = b"x" * 1_000_000
    assert len(get(*_asked(Answer(200, {}, body))).body) == 64 * 1024
    for head in ({"A": "x" * 70_000}, {f"A{number}": "" for number in range(200)}):
        with pytest.raises(OSError, match="not HTTP"):
            get(*_asked(Answer(200, head, b"")))


def test_of_a_stream_the_beginning_is_enough() -> None:
    answer = get(*_asked(Answer(200, {"Content-Type": "text/event-stream"}, b": hello\n\n")))
    assert b": hello\n\n".startswith(answer.body) and answer.body


def _asked(answer: Answer) -> tuple[FakeNetwork, FakeWire, str, str, dict[str, str]]:
    network = FakeNetwork(answer)
    network.connect("h", 1)
    return network, network.wires[0], "h", "/", {}
