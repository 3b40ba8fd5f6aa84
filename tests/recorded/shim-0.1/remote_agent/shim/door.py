"""A shim's datagram socket: control messages come in, hints go out. Touches the socket only.

The socket is bound in the attempt's directory, which is the shim's working directory, so that no
path can be too long for a socket address. Hints may be lost: the disk is the truth.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from typing import Any, Final

from remote_agent.shim.layout import CONTROL

_LARGEST: Final = 1 << 16
_PATIENCE: Final = 0.5
_PAUSE: Final = 0.002


class Door:
    """One attempt's door; the working directory must be the attempt's directory."""

    def __init__(self, key: str, hints: str) -> None:
        self._head = json.dumps({"k": key})[:-1].encode()
        self._hints = hints
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(CONTROL)
        except OSError:
            # The name of a shim that died: whoever holds the lock may take it.
            with suppress(FileNotFoundError):
                os.unlink(CONTROL)
            self._socket.bind(CONTROL)
        self._unsaid = -1
        self._size = 0

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._socket.fileno()

    def messages(self) -> list[dict[str, Any]]:
        """The control messages that have come; what is no message is dropped."""
        found = []
        with suppress(BlockingIOError):
            while True:
                data = self._socket.recv(_LARGEST)
                with suppress(ValueError):
                    message = json.loads(data)
                    if isinstance(message, dict):
                        found.append(message)
        return found

    def started(self, pid: int, at: float) -> None:
        """The job's process exists."""
        self._say(b',"e":"started","pid":%d,"at":%.6f}' % (pid, at))

    def grew(self, size: int) -> bool:
        """The spool has so many bytes now. False when the agent's queue is full: say it again."""
        if size == self._size:
            return True
        if self._say(b',"e":"grew","size":%d}' % size):
            self._size = size
            return True
        return False

    def ended(self) -> None:
        """The exit record is written; tries for a while when the agent's queue is full."""
        deadline = time.monotonic() + _PATIENCE
        while not self._say(b',"e":"ended"}') and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def _say(self, tail: bytes) -> bool:
        """Send a hint; False when it is worth another attempt."""
        try:
            self._socket.sendto(self._head + tail, self._hints)
        except BlockingIOError:
            return False
        except OSError:
            return True  # no agent now; the next one looks at the disk
        return True

    def close(self) -> None:
        """Close the socket and remove its name."""
        self._socket.close()
        with suppress(OSError):
            os.unlink(CONTROL)
