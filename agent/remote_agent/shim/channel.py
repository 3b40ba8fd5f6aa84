"""A shim's letterbox: control messages come in, hints go out. Touches the letterbox only.

It hangs in the attempt's directory, which the shim has entered, so that no path can be too long
for a socket address. Hints may be lost: the disk is the truth.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any, Final

from remote_agent.processes import DatagramSocket, Folder
from remote_agent.shim.layout import CONTROL

_PATIENCE: Final = 0.5
_PAUSE: Final = 0.002


class Channel:
    """One attempt's door; its directory must have been entered."""

    def __init__(self, directory: Folder, key: str, hints: str) -> None:
        self._head = json.dumps({"k": key})[:-1].encode()
        self._hints = directory.here(hints)
        self._box = DatagramSocket(directory.here(CONTROL))
        self._size = 0

    def waitable(self) -> int:
        """What a `Poller` takes."""
        return self._box.waitable()

    def messages(self) -> list[dict[str, Any]]:
        """The control messages that have come; what is no message is dropped."""
        found = []
        with suppress(BlockingIOError):
            while True:
                data = self._box.take()
                with suppress(ValueError, RecursionError):
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

    def ended(self, record: dict[str, Any] | None = None) -> bool:
        """The exit record is written, or `record` is what the disk did not take of it; tries for
        a while when the agent's queue is full.

        False when no agent has heard it.
        """
        more = b"" if record is None else b',"record":%s' % json.dumps(record).encode()
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                self._box.send(self._head + b',"e":"ended"%s}' % more, self._hints)
            except BlockingIOError:
                time.sleep(_PAUSE)
            except OSError:
                return False
            else:
                return True
        return False

    def _say(self, tail: bytes) -> bool:
        """Send a hint; False when it is worth another attempt."""
        try:
            self._box.send(self._head + tail, self._hints)
        except BlockingIOError:
            return False
        except OSError:
            return True  # no agent now; the next one looks at the disk
        return True

    def close(self) -> None:
        """Close it and remove its name."""
        self._box.remove()
