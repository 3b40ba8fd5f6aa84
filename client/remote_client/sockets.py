"""The network of `remotectl doctor`: sockets that wait for a bounded time. Touches the network, and
the certificates that are named. The agent has one like it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from remote_protocol.reachability.target import Answer, Wire

TIMEOUT: Final = 10.0
"""Seconds for each step."""
_LARGEST: Final = 64 * 1024


class SocketNetwork:
    """`trust` makes the context that servers are verified with. OSError when it cannot."""

    def __init__(self, trust: Callable[[], ssl.SSLContext], timeout: float = TIMEOUT) -> None:
        self._trust = trust
        self._timeout = timeout

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a name."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def connect(self, host: str, port: int) -> Wire:
        """A connection to one of them."""
        return socket.create_connection((host, port), self._timeout)

    def secure(self, wire: Wire, host: str) -> tuple[Wire, float]:
        """TLS, verified; and when the certificate ends."""
        secured = self._trust().wrap_socket(cast(socket.socket, wire), server_hostname=host)
        certificate: Mapping[str, Any] = secured.getpeercert() or {}
        return secured, float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))

    def speaks_tls(self, wire: Wire) -> bool:
        """Whether a handshake comes about, whoever is there."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            context.wrap_socket(cast(socket.socket, wire)).close()
        except ssl.SSLError:
            return False
        return True

    def ask(self, wire: Wire, place: str, target: str, headers: Mapping[str, str]) -> Answer:
        """The answer to a GET, or of a stream of events its beginning; the wire is closed."""
        exchange = http.client.HTTPConnection("", timeout=self._timeout)
        exchange.sock = cast(socket.socket, wire)
        try:
            asked = {"Host": place, "User-Agent": "doctor", "Connection": "close", **headers}
            exchange.request("GET", target, headers=asked)
            response = exchange.getresponse()
            streams = response.getheader("Content-Type", "").startswith("text/event-stream")
            body = response.read1(_LARGEST) if streams else response.read(_LARGEST)
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                body,
            )
        except http.client.HTTPException as error:
            raise OSError(f"the answer is not HTTP ({type(error).__name__})") from error
        finally:
            exchange.close()

    def now(self) -> float:
        """This host's clock."""
        return time.time()
