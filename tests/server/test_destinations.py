"""Which addresses webhooks may be sent to."""

from __future__ import annotations

import pytest

from remote_server.destinations import Networks

PUBLIC = "8.8.8.8 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::"
OTHERS = (
    "127.0.0.1 10.1.1.1 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 224.0.0.1 255.255.255.255 "
    "100.100.100.200 168.63.129.16 192.0.0.192 198.18.0.1 ::1 :: fe80::1%eth0 fd00:ec2::254 "
    "fec0::1 ff02::1 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1:: "
    "2001::1 127.1 host"
)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_ones(address: str) -> None:
    assert Networks().fault(address) == ""


@pytest.mark.parametrize("address", OTHERS.split())
def test_others_are_refused(address: str) -> None:
    assert address in Networks().fault(address)


def test_networks_can_be_allowed() -> None:
    networks = Networks(["10.1.0.0/16", "fd00::/8"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "8.8.8.8"):
        assert networks.fault(address) == "", address
    for address in ("10.2.0.1", "127.0.0.1", "fe80::1"):
        assert "allowed_networks" in networks.fault(address), address
    with pytest.raises(ValueError, match=r"10\.1"):
        Networks(["10.1.0.0/40"])
