"""Where a server can be reached, told from where it listens.

Asks the system which address it would send from; sends nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import Final

from remote_server.setting_values import Address

_EVERYWHERE: Final = {
    "0.0.0.0": (socket.AF_INET, "127.0.0.1", "192.0.2.1"),
    "::": (socket.AF_INET6, "::1", "2001:db8::1"),
}
"""The loopback of each family, and an address beyond it (RFC 5737, RFC 3849: nobody has them)."""


def local(address: Address) -> Address:
    """The address for programs on this host."""
    if address.host in _EVERYWHERE:
        return Address(_EVERYWHERE[address.host][1], address.port)
    return address


def is_everywhere(address: Address) -> bool:
    """Whether it stands for all addresses of this host."""
    return address.host in _EVERYWHERE


def is_loopback(address: Address) -> bool:
    """Whether only programs on this host come that way."""
    try:
        return ipaddress.ip_address(address.host.partition("%")[0]).is_loopback
    except ValueError:
        return address.host == "localhost"


def reachable(address: Address) -> list[Address]:
    """Where clients find it, those of other hosts first. One family's own loopback is the last."""
    if address.host not in _EVERYWHERE:
        return [address]
    family, loopback, beyond = _EVERYWHERE[address.host]
    found = []
    # Connecting a datagram socket only looks up the route.
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((beyond, 9))
        found.append(Address(probe.getsockname()[0], address.port))
    return [*found, Address(loopback, address.port)]
