"""One HTTP exchange over a wire, bounded in bytes and in time as a whole, whatever comes. Pure: the
network is a port.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, cast

from remote_protocol.reachability.ports import Answer, Network, Wire
from remote_protocol.urls import proxy_authorization

_MOST_HEAD: Final = 16 * 1024
_MOST_BODY: Final = 64 * 1024
_STATUS: Final = re.compile(rb"[0-9]{3}")


class ProxyAnswered(OSError):
    """The proxy answers itself, with this status; 0: with something that is no HTTP."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class _Incoming(io.RawIOBase):
    """What comes over a wire until the network's time-out has passed since this was made. A peer
    that sends a byte from time to time gets no more time by it."""

    def __init__(self, network: Network, wire: Wire) -> None:
        self._wire = wire
        self._clock = network.clock
        self._until = network.clock() + network.timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - self._clock()
        if left <= 0:
            raise TimeoutError("timed out")
        self._wire.settimeout(left)
        piece = self._wire.recv(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Itself, as the standard library wants it from a socket."""
        return io.BufferedReader(self)


def get(
    network: Network, wire: Wire, place: str, target: str, headers: Mapping[str, str]
) -> Answer:
    """The answer to a GET, of a long body the beginning; of a stream of events what comes first.
    OSError also when it is not HTTP. Closes the wire."""
    asked = {"Host": place, "User-Agent": "doctor", "Connection": "close", **headers}
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items())]
    try:
        wire.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        response = HTTPResponse(cast(Any, _Incoming(network, wire)), method="GET")
        response.begin()
        streams = response.getheader("Content-Type", "").startswith("text/event-stream")
        body = response.read1(_MOST_BODY) if streams else response.read(_MOST_BODY)
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, body)
    except HTTPException as error:
        raise OSError(f"the answer is not HTTP ({type(error).__name__})") from error
    finally:
        wire.close()


def open_tunnel(network: Network, wire: Wire, proxy: str, host: str, port: int) -> None:
    """CONNECT (RFC 9110 §9.3.6). ProxyAnswered when there is no tunnel afterwards, OSError."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if (authorization := proxy_authorization(proxy)) is not None:
        lines.append(f"Proxy-Authorization: {authorization}")
    wire.sendall("\r\n".join([*lines, "", ""]).encode())
    incoming, head = _Incoming(network, wire), b""
    while b"\r\n\r\n" not in head and len(head) < _MOST_HEAD:
        piece = incoming.read(4096)
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
