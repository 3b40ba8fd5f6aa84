"""Which network addresses the server may send webhooks to. Pure.

By default only those of the public internet: a webhook's URL must not be a way to what only the
server's host can reach, such as the address at which clouds tell a host its credentials.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from remote_server.errors import ServerError

_LOOKS_PUBLIC: Final = (
    IPv4Network("168.63.129.16"),
    IPv4Network("192.0.0.0/24"),
)
"""At which Azure and Oracle's cloud tell a host about itself, and more that is assigned to no host
(RFC 6890)."""
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
Address = IPv4Address | IPv6Address


class Networks:
    """Networks that are allowed beside the public ones. ValueError names one that is none."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = [ip_network(text) for text in allowed]

    def fault(self, text: str) -> str:
        """Why nothing may be sent to this address; empty: it may."""
        try:
            address: Address = ip_address(text.partition("%")[0])
        except ValueError:
            return f"{text!r} is not an address that can be checked"
        if self._named(address):
            return ""
        if all(self._named(one) or _public(one) for one in _embedded(address) or [address]):
            return ""
        return (
            f"{text} is not a public address; to allow it, name its network in the server's "
            "configuration: [webhooks] allowed_networks"
        )

    def _named(self, address: Address) -> bool:
        return any(one.version == address.version and address in one for one in self._allowed)


def _public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    if isinstance(address, IPv4Address) and any(address in one for one in _LOOKS_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def _embedded(address: Address) -> list[Address]:
    """IPv4 addresses that an IPv6 address leads to (RFC 4291, 6052, 3056, 4380)."""
    if not isinstance(address, IPv6Address):
        return []
    found: list[IPv4Address | None] = [address.ipv4_mapped, address.sixtofour]
    found += address.teredo or ()
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


class DestinationRefused(ServerError, OSError):
    """A webhook's URL leads to where the server may not send anything."""
