"""Where a server is and the way there, through a proxy or not. Pure: the network is a port."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from remote_protocol.reachability.exchange import get, open_tunnel
from remote_protocol.reachability.ports import Answer, Network, Wire
from remote_protocol.urls import proxy_authorization

_HTTP_PORT: Final = 80


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


def reach(target: Target, network: Network) -> Wire:
    """A connection to the server, through its proxy if it has one, without TLS. OSError,
    ProxyAnswered."""
    if target.proxy is None:
        return network.connect(*target.address)
    wire = network.connect(*target.proxy_address)
    if target.tunnelled:
        with closed_on_error(wire):
            open_tunnel(network, wire, target.proxy, *target.address)
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
        return get(network, wire, target.place, target_path, more)


@contextmanager
def closed_on_error(wire: Wire) -> Iterator[None]:
    """Close the wire when the block fails."""
    try:
        yield
    except BaseException:
        wire.close()
        raise
