"""What counts as one address."""

from __future__ import annotations

from remote_server.networks import network


def test_addresses_of_one_network_count_together() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff:2") != network("2001:db8:0:1::1")
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") == "192.0.2.1"
    assert network("127.0.0.5") == network("::1") == network("::ffff:127.0.0.1") == ""
    assert network("fe80::1%eth0") == "fe80::"
    assert network("@unix") == "@unix"
