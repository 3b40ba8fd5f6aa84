"""Tells systemd how the agent is (sd_notify(3)); does nothing elsewhere. One datagram a call."""

from __future__ import annotations

from contextlib import suppress

from remote_agent import processes


class ServiceStatus:
    """What systemd is told: `address` is the value of NOTIFY_SOCKET; None: nobody listens."""

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._text: str | None = None

    def report(self, text: str) -> None:
        """The agent's status in a few words; the first time, that it is ready, too."""
        text = text.replace("\n", " ")
        if text != self._text:
            ready = {"READY": "1"} if self._text is None else {}
            self._text = text
            self._send(**ready, STATUS=text)

    def stopping(self) -> None:
        """The agent is about to exit."""
        self._send(STOPPING="1")

    def _send(self, **state: str) -> None:
        if not self._address:
            return
        text = "\n".join(f"{name}={value}" for name, value in state.items())
        with suppress(OSError):
            processes.notify(self._address, text.encode())
