"""Ports for programs that are told where to listen before they do."""

from __future__ import annotations

import random
import socket
import sys
from typing import Final

_CHOICE: Final = range(20_000, 32_768)
"""Below the ports that the kernel chooses itself (ip(7), ip_local_port_range): what it gives to
somebody's connection, or to a server on port 0, is none of these."""
# Not those that a test seeds: two processes would choose the same.
_DICE: Final = random.SystemRandom()
_reserved: Final[list[socket.socket]] = []
"""Each has a name that only one process of a host may have, as long as that process lives."""


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now, and no other test chooses while this process
    lives."""
    for _ in range(1_000):
        port = _DICE.choice(_CHOICE)
        if _reserve(port):
            return port
    raise AssertionError("of 1,000 ports, none is free")


def _reserve(port: int) -> bool:
    try:
        if sys.platform == "linux":
            _claim(f"\0remote-test-port-{port}")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            probe.listen()
    except OSError:
        return False
    return True


def _claim(name: str) -> None:
    """Take a name that is no file, is bound by one at a time and ends with its process (unix(7),
    abstract sockets). OSError when somebody has it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(name)
    except OSError:
        claim.close()
        raise
    _reserved.append(claim)
