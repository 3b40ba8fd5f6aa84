"""What the client needs of a network, and the one that blocks. Touches sockets.

`asyncio_network` has the other one; it is loaded by asynchronous clients only.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

_KEEPALIVE: Final = [
    (getattr(socket, name), seconds)
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
]
"""A quiet job may print nothing for hours: only the kernel can tell that the link is dead."""


class Wire(Protocol):
    """A byte stream to one peer. Timeouts are seconds for each call; None: no limit."""

    async def send(self, data: bytes, timeout: float | None) -> None:
        """Send all of it. OSError, TimeoutError."""

    async def receive(self, size: int, timeout: float | None) -> bytes:
        """What has come, at most `size` bytes; empty when the peer has closed. OSError,
        TimeoutError: then it may be asked again."""

    def readable(self) -> bool:
        """Whether something can be read now: bytes, or the end."""

    def close(self) -> None:
        """Close it at once."""


class Network(Protocol):
    """Opens wires, and sleeps."""

    async def connect(self, host: str, port: int, timeout: float) -> Wire:
        """A wire to one of the host's addresses, each of which gets `timeout` seconds. OSError."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""


class Socket:
    """A plain socket, as a wire that blocks."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw

    async def send(self, data: bytes, timeout: float | None) -> None:
        """Send all of it."""
        self._raw.settimeout(timeout)
        self._raw.sendall(data)

    async def receive(self, size: int, timeout: float | None) -> bytes:
        """What has come."""
        self._raw.settimeout(timeout)
        return self._raw.recv(size)

    def readable(self) -> bool:
        """Whether something can be read now."""
        return is_readable(self._raw)

    def close(self) -> None:
        """Close it at once."""
        self._raw.close()


class BlockingNetwork:
    """The network of clients that wait in their thread."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    async def connect(self, host: str, port: int, timeout: float) -> Wire:
        """A wire to one of the host's addresses."""
        # Text is taken for an international name, whose tables take a moment to load.
        name: Any = host.encode() if host.isascii() else host
        raw = socket.create_connection((name, port), timeout)
        keep_alive(raw)
        return Socket(raw)

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._sleep(seconds)


def keep_alive(raw: socket.socket) -> None:
    """Have the kernel notice when the other side has gone without a word."""
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in _KEEPALIVE:
        raw.setsockopt(socket.IPPROTO_TCP, option, seconds)


def is_readable(raw: socket.socket) -> bool:
    """Whether bytes, or the end, can be read from a socket now."""
    if sys.platform == "win32":
        return bool(select.select([raw], [], [], 0)[0])
    # select(2) knows no descriptor above 1023.
    poll = select.poll()
    poll.register(raw, select.POLLIN)
    return bool(poll.poll(0))
