"""Tells systemd how the agent is (sd_notify(3)); does nothing elsewhere. One datagram a call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from remote_agent import processes


class ServiceStatus:
    """What systemd is told. `environ` says where it listens (NOTIFY_SOCKET), and how often it wants
    to hear that the event loop turns (WATCHDOG_USEC, sd_watchdog_enabled(3))."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET")
        self._text: str | None = None
        self._every = watchdog_interval(environ) / 2
        self._turn_at = 0.0

    def report(self, text: str) -> None:
        """The agent's status in a few words; the first time, that it is ready, too."""
        text = text.replace("\n", " ")
        if text != self._text:
            ready = {"READY": "1"} if self._text is None else {}
            self._text = text
            self._send(**ready, STATUS=text)

    def turn(self, now: float) -> None:
        """The event loop turns. Called in it, at least twice in the interval of the watchdog; `now`
        is a clock that never jumps."""
        if self._every and now >= self._turn_at:
            self._turn_at = now + self._every
            self._send(WATCHDOG="1")

    def waiting(self, text: str, seconds: float) -> None:
        """It is not ready yet and waits for something, for as long as `seconds` from now before
        it says so again."""
        self._send(STATUS=text.replace("\n", " "), EXTEND_TIMEOUT_USEC=str(int(seconds * 1e6)))

    def stopping(self) -> None:
        """The agent is about to exit."""
        self._send(STOPPING="1")

    def _send(self, **state: str) -> None:
        if not self._address:
            return
        text = "\n".join(f"{name}={value}" for name, value in state.items())
        with suppress(OSError):
            processes.notify(self._address, text.encode())


def watchdog_interval(environ: Mapping[str, str]) -> float:
    """Seconds within which systemd wants to hear of this process; 0 for never."""
    try:
        pid = int(environ.get("WATCHDOG_PID") or os.getpid())
        microseconds = int(environ.get("WATCHDOG_USEC") or 0)
    except ValueError:
        return 0.0
    # Another process's environment, passed on.
    return microseconds / 1e6 if pid == os.getpid() and microseconds > 0 else 0.0
