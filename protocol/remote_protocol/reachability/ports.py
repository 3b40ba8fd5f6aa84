"""The network of the checks, as a port: what they need of it, and what comes back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Wire(Protocol):
    """A byte stream to a peer, such as a socket. Each call raises OSError."""

    def settimeout(self, seconds: float, /) -> None:
        """How long the next call may wait."""

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
    """Everything that waits raises OSError, after `timeout` seconds at the latest."""

    timeout: float

    def resolve(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name."""

    def connect(self, host: str, port: int) -> Wire:
        """A connection."""

    def secure(self, wire: Wire, host: str) -> tuple[Wire, float]:
        """TLS over it, verified; and when the certificate ends, in Unix seconds."""

    def speaks_tls(self, wire: Wire) -> bool:
        """Whether TLS is spoken at its other end, whatever the certificate."""

    def now(self) -> float:
        """Unix seconds of this host's clock."""

    def clock(self) -> float:
        """Seconds of a clock that only goes forward."""
