"""A shim's talk with its agent: control messages come in, notifications go out.

The name of its socket is in the attempt's directory, which the shim has entered, so that no path
can be too long for a socket address. Notifications may be lost: the disk is the truth. Touches
this socket only.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final

from remote_agent.processes import Folder
from remote_agent.shim.control_socket import ControlSocket
from remote_agent.shim.json_text import decode, moment, quote

_MAX_RETRY: Final = 0.5
"""Seconds for which the end is announced to an agent whose queue is full."""
_PAUSE: Final = 0.002
START_WAIT: Final = 0.005
"""Seconds for which a start waits for what may go with it: most short jobs end meanwhile."""
_AGAIN: Final = 0.005
"""Seconds until a notification for which the agent's queue had no room is sent again."""
_LARGEST_COPY: Final = 1 << 12
"""Bytes of an exit record of which the agent gets a copy; it reads a larger one itself."""


class Channel:
    """The channel of one attempt, whose directory must have been entered, by the `socket` of its
    shim. OSError when the disk refuses."""

    def __init__(
        self, directory: Folder, key: str, agent_socket: str, socket: ControlSocket
    ) -> None:
        self._key = key
        self.key = quote(key)
        """The attempt's, as JSON."""
        self._head = f'{{"k":{self.key}'.encode()
        self._agent = directory.here(agent_socket)
        self._named = socket
        self._socket = socket.appear(directory)
        self._size = 0
        self._start = b""
        """What there is to say of the start; empty when it is said."""
        self._start_due = 0.0

    def waitable(self) -> int:
        """What a `Poller` takes."""
        return self._socket.waitable()

    def receive(self) -> list[dict[str, Any]]:
        """The control messages for this attempt that have come; what is none is dropped."""
        found = []
        with suppress(BlockingIOError):
            while True:
                data = self._socket.receive()
                with suppress(ValueError, RecursionError):
                    message = decode(data)
                    if isinstance(message, dict) and message.get("k") == self._key:
                        found.append(message)
        return found

    def started(self, pid: int, at: float, now: float) -> float:
        """The job's process exists. That goes with the next notification: when `grew` is to be
        called for it, in monotonic seconds, as `now` is."""
        self._start = f',"pid":{pid},"at":{moment(at)}'.encode()
        self._start_due = now + START_WAIT
        return self._start_due

    def grew(self, size: int, now: float) -> float | None:
        """The spool has so many bytes now. When to call this again, if there is anything to say
        that could not be said or may wait; None: there is not."""
        if size == self._size:
            if not self._start:
                return None
            if now < self._start_due:
                return self._start_due
            said = self._send(b',"e":"started"')
        else:
            said = self._send(b',"e":"grew","size":%d' % size)
        if not said:
            return now + _AGAIN
        self._size, self._start = size, b""
        return None

    def ended(self, written: bytes = b"", refused: str = "") -> bool:
        """The exit record is `written`, or `refused` is what the disk did not take of it; tries for
        a while when the agent's queue is full.

        False when no agent has received it.
        """
        what = b',"e":"ended"'
        if refused:
            what += f',"record":{refused}'.encode()
        copy = b"\n" + written if 0 < len(written) <= _LARGEST_COPY else b""
        message = self._head + self._start + what + b"}" + copy
        deadline = None
        while True:
            try:
                self._socket.send(message, self._agent)
            except BlockingIOError:
                deadline = deadline or time.monotonic() + _MAX_RETRY
                if time.monotonic() > deadline:
                    return False
                time.sleep(_PAUSE)
            except OSError:
                return False
            else:
                return True

    def _send(self, what: bytes) -> bool:
        """Send a notification; False when it is worth another try."""
        try:
            self._socket.send(self._head + self._start + what + b"}", self._agent)
        except BlockingIOError:
            return False
        except OSError:
            return True  # no agent now; the next one looks at the disk
        return True

    def close(self) -> None:
        """Remove its name."""
        self._named.vanish()
