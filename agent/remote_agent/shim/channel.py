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
        socket.appear(directory)
        self._socket = socket
        self._size = 0

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

    def started(self, pid: int, at: float) -> None:
        """The job's process exists."""
        self._send(f',"e":"started","pid":{pid},"at":{moment(at)}}}'.encode())

    def grew(self, size: int) -> bool:
        """The spool has so many bytes now. False when the agent's queue is full: send it again."""
        if size == self._size:
            return True
        if self._send(b',"e":"grew","size":%d}' % size):
            self._size = size
            return True
        return False

    def ended(self, record: str = "") -> bool:
        """The exit record is written, or `record` is what the disk did not take of it, as JSON;
        tries for a while when the agent's queue is full.

        False when no agent has received it.
        """
        more = b',"record":%s' % record.encode() if record else b""
        deadline = time.monotonic() + _MAX_RETRY
        while time.monotonic() < deadline:
            try:
                self._socket.send(self._head + b',"e":"ended"%s}' % more, self._agent)
            except BlockingIOError:
                time.sleep(_PAUSE)
            except OSError:
                return False
            else:
                return True
        return False

    def _send(self, tail: bytes) -> bool:
        """Send a notification; False when it is worth another try."""
        try:
            self._socket.send(self._head + tail, self._agent)
        except BlockingIOError:
            return False
        except OSError:
            return True  # no agent now; the next one looks at the disk
        return True

    def close(self) -> None:
        """Remove its name."""
        self._socket.vanish()
