"""Hints of shims: datagrams that say what has just happened to an attempt. May touch that socket.

They only make the agent fast. Any may be lost, doubled or forged by who can write to the state
directory: whoever hears one looks at the disk before believing an end.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from remote_agent.session.events import Key

FILE: Final = "agent.sock"
_LARGEST: Final = 4096
_AT_ONCE: Final = 256
"""Hints taken before other things of the loop get their turn."""


class Hint(NamedTuple):
    """What a shim says: `started` with `pid` and `at`, `grew` with `size`, or `ended`."""

    key: Key
    what: str
    size: int = 0
    pid: int = 0
    at: float = 0.0


def parse(data: bytes) -> Hint | None:
    """The hint in a datagram; None when it is none."""
    try:
        body = json.loads(data)
        job, _, number = body["k"].rpartition(".")
        return Hint(
            Key(job, int(number)),
            str(body["e"]),
            int(body.get("size", 0)),
            int(body.get("pid", 0)),
            float(body.get("at", 0.0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


class Hints:
    """Listens for hints and gives each to `heard`."""

    def __init__(self, state_dir: Path, heard: Callable[[Hint], None]) -> None:
        self._state_dir = state_dir
        self._heard = heard
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Listen, in place of what a former agent left. OSError when that is impossible."""
        self._socket = _bind(self._state_dir)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Stop listening; shims go on without."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(_LARGEST)
            except BlockingIOError:
                return
            hint = parse(data)
            if hint is not None:
                self._heard(hint)


def _bind(state_dir: Path) -> socket.socket:
    directory = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    hints = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    hints.setblocking(False)
    try:
        with suppress(FileNotFoundError):
            os.unlink(FILE, dir_fd=directory)
        # sun_path holds 107 bytes; through the descriptor any directory is near enough.
        through = f"/proc/self/fd/{directory}"
        near = through if os.path.isdir(through) else str(state_dir)
        hints.bind(f"{near}/{FILE}")
        os.chmod(FILE, 0o600, dir_fd=directory)
    except OSError:
        hints.close()
        raise
    finally:
        os.close(directory)
    return hints
