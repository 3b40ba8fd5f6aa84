"""Sockets between agent, shims and command line on the loopback interface (Windows).

The file of a name holds the port and a random key; whoever can read the file may use them, and
nobody else: every datagram begins with the key, every stream with a line that is the key. The
folder's access list keeps others from the file.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes
import hmac
import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from remote_agent.processes.windows import api
from remote_agent.processes.windows.files import READ, REPLACE, Folder, open_file, rename
from remote_agent.processes.windows.system import alive, start_time

_LARGEST: Final = 1 << 16
_QUEUE: Final = 1 << 20
_KEY: Final = 32
_FD_READ: Final = 1
_HERE: Final = "127.0.0.1"


class _Address(NamedTuple):
    """Where a process listens, what a caller sends first, and which process it is."""

    port: int
    key: str
    pid: int
    start: str

    @property
    def place(self) -> tuple[str, int]:
        """For a socket."""
        return _HERE, self.port


def _publish(path: str, listener: socket.socket) -> bytes:
    """Write the address file of a bound socket, whole or not at all; its key."""
    key = os.urandom(_KEY // 2).hex()
    pid = os.getpid()
    address = _Address(listener.getsockname()[1], key, pid, start_time(pid) or "")
    with open(open_file(f"{path}.tmp", REPLACE), "wb") as file:
        file.write(json.dumps({"v": 1, **address._asdict()}).encode())
    rename(f"{path}.tmp", path)
    return key.encode()


def _address(path: str) -> _Address:
    """Who has the name. FileNotFoundError when nobody has; ConnectionRefusedError when he died."""
    with open(open_file(path, READ), "rb") as file:
        try:
            body = json.loads(file.read())
            address = _Address(*(body[name] for name in _Address._fields))
        except (ValueError, KeyError, TypeError) as error:
            raise ConnectionRefusedError(111, f"no address in it: {error}", path) from None
    if not alive(address.pid, address.start):
        raise ConnectionRefusedError(111, "who listened there has died", path)
    return address


class DatagramSocket:
    """Receives datagrams at a name, and sends some."""

    def __init__(self, path: str, private: bool = False) -> None:
        self._path = path
        self._event: int | None = None
        self._known: tuple[str, tuple[int, int], _Address] | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)
            self._socket.bind((_HERE, 0))
            self._socket.setblocking(False)
            self._key = _publish(path, self._socket)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The socket's descriptor, for an event loop."""
        return self._socket.fileno()

    def waitable(self) -> int:
        """What a `Poller` takes: an event that resets itself and tells of new datagrams."""
        if self._event is None:
            event = self._event = int(api.check(api.create_event(None, False, False, None)))
            if api.select_event(self._socket.fileno(), event, _FD_READ):
                raise api.failure(ctypes.get_last_error(), self._path)
        return self._event

    def receive(self) -> bytes:
        """The next datagram of somebody who knows the key. BlockingIOError when there is none."""
        while True:
            try:
                data = self._socket.recv(_LARGEST)
            except BlockingIOError:
                raise
            except OSError:
                # An answer to what was sent to a port that has closed, or a giant one.
                continue
            if hmac.compare_digest(data[:_KEY], self._key):
                return data[_KEY:]

    def send(self, data: bytes, path: str) -> None:
        """Send to another one. OSError when nobody is there."""
        found = os.stat(path)
        sign = (found.st_mtime_ns, found.st_ino)
        if self._known is None or self._known[:2] != (path, sign):
            self._known = (path, sign, _address(path))
        to = self._known[2]
        if not alive(to.pid, to.start):
            raise ConnectionRefusedError(111, "who listened there has died", path)
        self._socket.sendto(to.key.encode() + data, to.place)

    def close(self) -> None:
        """Receive nothing any more."""
        self._socket.close()
        if self._event is not None:
            api.close_handle(self._event)
            self._event = None

    def remove(self) -> None:
        """Close, and take the name away."""
        self.close()
        with suppress(OSError):
            os.unlink(self._path)


def send_datagram(folder: str | Path, name: str, data: bytes) -> None:
    """Send a datagram to a name in a folder. OSError when nobody is there."""
    to = _address(os.path.join(folder, name))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(to.key.encode() + data, to.place)


def listen(folder: Folder, name: str) -> tuple[socket.socket, bytes]:
    """A stream socket with a name in a folder, in place of what a dead process left there.

    With it the line that every caller must say first.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        listener.bind((_HERE, 0))
        listener.setblocking(False)
        key = _publish(folder.here(name), listener)
    except OSError:
        listener.close()
        raise
    return listener, key


def connect(folder: Folder, name: str, timeout: float) -> socket.socket:
    """A stream to who listens at a name. FileNotFoundError, ConnectionRefusedError: nobody."""
    to = _address(folder.here(name))
    peer = socket.create_connection(to.place, timeout)
    try:
        peer.sendall(to.key.encode() + b"\n")
    except OSError:
        peer.close()
        raise
    return peer


def notify(address: str, text: bytes) -> None:
    """Nothing: no service manager listens this way here."""


def send_descriptor(to: socket.socket, data: bytes, descriptor: int) -> None:
    """OSError: without a launcher's sockets no open file goes with a message."""
    raise OSError(95, "no open file goes with a message on Windows")


def receive_descriptor(source: socket.socket, size: int) -> tuple[bytes, int | None]:
    """OSError, as `send_descriptor`."""
    raise OSError(95, "no open file goes with a message on Windows")


class SharedQueue:
    """Nothing: without a launcher's sockets there is no queue of several processes here."""

    def __init__(self, source: socket.socket) -> None:
        self._source = source

    def receive(self, size: int) -> tuple[bytes, int | None]:
        """OSError, as `send_descriptor`."""
        return receive_descriptor(self._source, size)

    def close(self) -> None:
        """Close the socket."""
        self._source.close()
