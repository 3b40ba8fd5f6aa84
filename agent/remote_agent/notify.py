"""Tells systemd how the agent is (sd_notify(3)); does nothing elsewhere. One datagram a call."""

from __future__ import annotations

import socket
from contextlib import suppress


def notify(address: str | None, **state: str) -> None:
    """Send `READY="1"`, `STATUS="…"` … to `address`, the value of NOTIFY_SOCKET."""
    if not address:
        return
    # A leading @ is an abstract socket (unix(7)).
    target = "\0" + address[1:] if address.startswith("@") else address
    text = "\n".join(f"{name}={value}" for name, value in state.items())
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), target)
