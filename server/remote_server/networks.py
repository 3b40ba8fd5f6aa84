"""What counts as one address where somebody gets a share. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one; "" for loopback."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback:
        return ""
    if isinstance(found, IPv6Address):
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)
