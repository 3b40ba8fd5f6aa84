"""Tells systemd how the agent is (sd_notify(3)); does nothing elsewhere. One datagram a call."""

from __future__ import annotations

from contextlib import suppress

from remote_agent import processes


def notify(address: str | None, **state: str) -> None:
    """Send `READY="1"`, `STATUS="…"` … to `address`, the value of NOTIFY_SOCKET."""
    if not address:
        return
    text = "\n".join(f"{name}={value}" for name, value in state.items())
    with suppress(OSError):
        processes.notify(address, text.encode())
