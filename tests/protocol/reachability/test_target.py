"""The way to a server: addresses, tunnels, and what is sent to whom."""

from __future__ import annotations

import pytest

from remote_protocol.reachability.exchange import ProxyAnswered
from remote_protocol.reachability.ports import Answer
from remote_protocol.reachability.target import Target, ask, reach
from tests.support.fake_network import FakeNetwork

PROXY = "http://me:p%40ss@proxy:3128"
OK = Answer(200, {}, b"")


@pytest.mark.parametrize(
    ("url", "address", "shown"),
    [
        ("https://h", ("h", 443), "h:443"),
        ("http://h/prefix", ("h", 80), "h:80"),
        ("http://[::1]:8750", ("::1", 8750), "::1:8750"),
    ],
)
def test_addresses(url: str, address: tuple[str, int], shown: str) -> None:
    target = Target(url, PROXY)
    assert (target.address, target.shown) == (address, shown)
    assert (target.proxy_address, target.proxy_place) == (("proxy", 3128), "proxy:3128")
    assert "p%40ss" not in repr(target)


def test_without_a_proxy_the_server_is_asked() -> None:
    network = FakeNetwork(OK)
    assert ask(Target("http://h:1/prefix"), network, "/api/v1/version", {"A": "b"}) == OK
    assert network.places == [("h", 1)]
    assert network.asked == [("h:1", "/prefix/api/v1/version", {"A": "b"})]
    assert all(wire.closed for wire in network.wires)


def test_a_tunnel_is_asked_for_with_the_password() -> None:
    network = FakeNetwork(OK, connect=b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
    ask(Target("https://[::1]:8750", PROXY), network, "/x")
    assert network.places == [("proxy", 3128)]
    assert network.wires[0].sent == (
        b"CONNECT [::1]:8750 HTTP/1.1\r\nHost: [::1]:8750\r\n"
        b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n"
    )
    assert network.asked == [("[::1]:8750", "/x", {})], "the server does not get the password"


def test_plain_http_may_be_fetched_by_the_proxy() -> None:
    network = FakeNetwork(OK)
    ask(Target("http://h", PROXY, tunnels=False), network, "/x")
    assert network.wires[0].sent == b""
    assert network.asked == [("h", "http://h/x", {"Proxy-Authorization": "Basic bWU6cEBzcw=="})]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", 407),
        (b"HTTP/1.1 503\r\n\r\n", 503),
        (b"HTTP/1.1 ?\r\n\r\n", 0),
        (b"HTTP/1.1 " + b"9" * 5000, 0),
        (b"SSH-2.0", 0),
        (b"", 0),
        (b"x" * 100_000, 0),
    ],
)
def test_a_proxy_that_makes_no_tunnel(head: bytes, status: int) -> None:
    network = FakeNetwork(connect=head)
    with pytest.raises(ProxyAnswered) as caught:
        reach(Target("https://h", PROXY), network)
    assert caught.value.status == status
    assert len(str(caught.value)) < 300
    assert network.wires[0].closed


def test_wires_are_closed_when_tls_fails() -> None:
    network = FakeNetwork(secure=OSError("no TLS"))
    with pytest.raises(OSError, match="no TLS"):
        ask(Target("https://h"), network, "/x")
    assert network.wires[0].closed
