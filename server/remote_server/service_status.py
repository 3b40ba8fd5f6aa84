"""Tells systemd how the server is (sd_notify(3)), and that its loop turns; nothing elsewhere.

One datagram a call. Reads the environment that it is given.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class ServiceStatus:
    """What systemd is told. `environ` says where it listens (NOTIFY_SOCKET), and how often it wants
    to hear that the event loop turns (WATCHDOG_USEC, sd_watchdog_enabled(3))."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET")
        self._every = _interval(environ) / 2
        self._ready = False
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Say from now on that the running loop turns."""
        if self._address and self._every:
            self._turn(asyncio.get_running_loop())

    def report(self, text: str) -> None:
        """The server's status in a few words; the first time, that it is ready, too."""
        ready = {} if self._ready else {"READY": "1"}
        self._ready = True
        self._send(**ready, STATUS=text.replace("\n", " "))

    def stop(self) -> None:
        """The server is about to exit."""
        if self._handle is not None:
            self._handle.cancel()
        self._send(STOPPING="1")

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._send(WATCHDOG="1")
        self._handle = loop.call_later(self._every, self._turn, loop)

    def _send(self, **state: str) -> None:
        if not self._address:
            return
        # A leading @ is an abstract socket (unix(7)).
        name = self._address
        target = f"\0{name[1:]}" if name.startswith("@") else name
        text = "\n".join(f"{key}={value}" for key, value in state.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), target)


def _interval(environ: Mapping[str, str]) -> float:
    """Seconds within which systemd wants to hear of this process; 0 for never."""
    try:
        pid = int(environ.get("WATCHDOG_PID") or os.getpid())
        microseconds = int(environ.get("WATCHDOG_USEC") or 0)
    except ValueError:
        return 0.0
    # Another process's environment, passed on.
    return microseconds / 1e6 if pid == os.getpid() and microseconds > 0 else 0.0
