"""The network of the live checks: sockets that wait for a bounded time. Touches the network, and
the certificates that are named. The client has one like it.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from remote_protocol.reachability.ports import Wire

TIMEOUT: Final = 10.0
"""Seconds for each step."""


class SocketNetwork:
    """`trust` makes the context that servers are verified with. OSError when it cannot."""

    def __init__(self, trust: Callable[[], ssl.SSLContext], timeout: float = TIMEOUT) -> None:
        self._trust = trust
        self.timeout = timeout

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a name."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def connect(self, host: str, port: int) -> Wire:
        """A connection to one of them."""
        return socket.create_connection((host, port), self.timeout)

    def secure(self, wire: Wire, host: str) -> tuple[Wire, float]:
        """TLS, verified; and when the certificate ends."""
        wire.settimeout(self.timeout)
        secured = self._trust().wrap_socket(cast(socket.socket, wire), server_hostname=host)
        certificate: Mapping[str, Any] = secured.getpeercert() or {}
        return secured, float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))

    def speaks_tls(self, wire: Wire) -> bool:
        """Whether a handshake comes about, whoever is there."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        wire.settimeout(self.timeout)
        try:
            context.wrap_socket(cast(socket.socket, wire)).close()
        except ssl.SSLError:
            return False
        return True

    def now(self) -> float:
        """This host's clock."""
        return time.time()

    def clock(self) -> float:
        """A clock that nobody sets."""
        return time.monotonic()
