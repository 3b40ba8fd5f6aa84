"""What an installation leaves on a host."""

from __future__ import annotations

import re

from tests.systemd.host import Host

# Written by useradd and userdel, whoever is made or removed; by the server, systemd and Python.
VOLATILE = re.compile(
    "/etc/(passwd|group|g?shadow|sub[ug]id)[-+]?$|/etc/[.]pwd[.]lock$|.*[.]pyc$|.*/__pycache__$"
    "|/(var/lib/(systemd|test-server|dbus)|var/log|var/cache|run|tmp|var/tmp)(/|$)"
    "|/etc/(machine-id|resolv.conf|localtime|hostname)$"
)


def settled(host: Host) -> set[tuple[str, str]]:
    """What was made, changed and removed on the host, but for what others write."""
    return {entry for entry in host.machine.changed() if not VOLATILE.match(entry[0])}


def same(one: set[tuple[str, str]], other: set[tuple[str, str]], *but: str) -> None:
    """Both are, AssertionError for what differs; `but`: paths that may."""
    differ = sorted(entry for entry in one ^ other if entry[0] not in but)
    assert not differ, differ
