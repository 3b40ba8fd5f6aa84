"""Where a server can be reached."""

from __future__ import annotations

import pytest

from remote_server.addresses import is_everywhere, is_loopback, local, reachable
from remote_server.setting_values import Address


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.7", False),
        ("fe80::1%eth0", False),
        ("jobs.example.com", False),
    ],
)
def test_who_can_come_that_way(host: str, loopback: bool) -> None:
    assert is_loopback(Address(host, 1)) is loopback


def test_all_addresses_are_told_with_the_loopback_last() -> None:
    assert is_everywhere(Address("0.0.0.0", 1)) and is_everywhere(Address("::", 1))
    found = reachable(Address("0.0.0.0", 8750))
    assert found[-1] == Address("127.0.0.1", 8750)
    assert all(one.port == 8750 and not is_everywhere(one) for one in found)
    assert reachable(Address("::", 1))[-1] == Address("::1", 1)


def test_one_address_is_itself() -> None:
    one = Address("192.0.2.7", 1)
    assert not is_everywhere(one) and reachable(one) == [one] and local(one) == one
    assert local(Address("::", 5)) == Address("::1", 5)
