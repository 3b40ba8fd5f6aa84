"""Where a server is and the way there, through a proxy or not. Pure: the network is a port."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from remote_protocol.urls import proxy_authorization

_MOST_HEAD: Final = 16 * 1024
_STATUS: Final = re.compile(rb"[0-9]{3}")
_HTTP_PORT: Final = 80


class Wire(Protocol):
    """A byte stream to a peer, such as a socket with a time-out. Each call raises OSError."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def recv(self, size: int, /) -> bytes:
        """What has come; empty at the end."""

    def close(self) -> None:
        """Close it."""


class Answer(NamedTuple):
    """An HTTP answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Network(Protocol):
    """What the checks need of a network. Everything raises OSError; waiting is bounded."""

    def resolve(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name."""

    def connect(self, host: str, port: int) -> Wire:
        """A connection."""

    def secure(self, wire: Wire, host: str) -> tuple[Wire, float]:
        """TLS over it, verified; and when the certificate ends, in Unix seconds."""

    def speaks_tls(self, wire: Wire) -> bool:
        """Whether TLS is spoken at its other end, whatever the certificate."""

    def ask(self, wire: Wire, place: str, target: str, headers: Mapping[str, str]) -> Answer:
        """The answer to a GET; OSError also when it is not HTTP. Closes the wire."""

    def now(self) -> float:
        """Unix seconds of this host's clock."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server, the way there, and where each part of it is set, for cures."""

    url: str
    proxy: str | None = field(default=None, repr=False)
    proxy_origin: str = ""
    """What names the proxy; without one, why there is none."""
    tunnels: bool = True
    """The proxy is asked for a tunnel for plain HTTP, too."""
    for_agents: bool = True
    """The protocol of agents must fit; otherwise the version of the API."""
    url_setting: str = "the URL"
    proxy_setting: str = "HTTPS_PROXY and HTTP_PROXY"
    ca_setting: str = "--ca-file"

    @property
    def secure(self) -> bool:
        """Whether the URL wants TLS."""
        return self.url.startswith("https:")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if self.secure else 80)

    @property
    def place(self) -> str:
        """Host and port as the URL has them."""
        return urlsplit(self.url).netloc

    @property
    def tunnelled(self) -> bool:
        """Whether the way is a tunnel through the proxy."""
        return self.proxy is not None and (self.secure or self.tunnels)

    @property
    def shown(self) -> str:
        """Host and port, for sentences."""
        host, port = self.address
        return f"{host}:{port}"

    @property
    def proxy_address(self) -> tuple[str, int]:
        """Host and port of the proxy."""
        parts = urlsplit(self.proxy or "")
        return parts.hostname or "", parts.port or _HTTP_PORT

    @property
    def proxy_place(self) -> str:
        """The proxy's host and port as its URL has them, without credentials."""
        return urlsplit(self.proxy or "").netloc.rpartition("@")[2]


class ProxyAnswered(OSError):
    """The proxy answers itself, with this status; 0: with something that is no HTTP."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def reach(target: Target, network: Network) -> Wire:
    """A connection to the server, through its proxy if it has one, without TLS. OSError,
    ProxyAnswered."""
    if target.proxy is None:
        return network.connect(*target.address)
    wire = network.connect(*target.proxy_address)
    if target.tunnelled:
        with closed_on_error(wire):
            _open_tunnel(wire, target.proxy, *target.address)
    return wire


def ask(
    target: Target, network: Network, path: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """The server's answer to a GET. OSError."""
    wire = reach(target, network)
    with closed_on_error(wire):
        if target.secure:
            wire, _ = network.secure(wire, target.address[0])
        target_path = f"{urlsplit(target.url).path}{path}"
        more = dict(headers or {})
        if target.proxy is not None and not target.tunnelled:
            target_path = f"{target.url}{path}"
            if (authorization := proxy_authorization(target.proxy)) is not None:
                more["Proxy-Authorization"] = authorization
        return network.ask(wire, target.place, target_path, more)


@contextmanager
def closed_on_error(wire: Wire) -> Iterator[None]:
    """Close the wire when the block fails."""
    try:
        yield
    except BaseException:
        wire.close()
        raise


def _open_tunnel(wire: Wire, proxy: str, host: str, port: int) -> None:
    """CONNECT (RFC 9110 §9.3.6). ProxyAnswered when there is no tunnel afterwards."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if (authorization := proxy_authorization(proxy)) is not None:
        lines.append(f"Proxy-Authorization: {authorization}")
    wire.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _MOST_HEAD:
        piece = wire.recv(4096)
        if not piece:
            break
        head += piece
    first = head.partition(b"\r\n")[0]
    words = first.decode("latin-1")[:200]
    status = first.split(b" ")[1:2]
    if not first.startswith(b"HTTP/1.") or not status or not _STATUS.fullmatch(status[0]):
        raise ProxyAnswered(0, f"it answered {words!r}" if words else "it closed the connection")
    if not 200 <= int(status[0]) < 300:
        raise ProxyAnswered(int(status[0]), words)
