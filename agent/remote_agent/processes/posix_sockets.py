"""Sockets between agent, shims and command line: Unix sockets named in a folder (POSIX).

Who may open the folder may use them; nobody else can. Datagrams between agent and shims, a stream
for the agent's control socket, and open files that go with a message.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from remote_agent.processes.posix_files import Folder

_LARGEST: Final = 1 << 16
_CLOSE_ON_EXEC: Final = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))  # macOS has none
_AT_ONCE: Final = int(socket.MSG_DONTWAIT)
"""Numbers, not members of an enumeration: those are combined by Python."""
_EXCLUSIVE: Final = getattr(select, "EPOLLEXCLUSIVE", None)  # Linux only
_INT: Final = 4
_ROOM_FOR_ONE: Final = socket.CMSG_LEN(_INT)
_LONGEST_ADDRESS: Final = 100
"""sun_path has 108 bytes on Linux, 104 on macOS (unix(7))."""


class DatagramSocket:
    """Receives datagrams at a name in a folder, and sends some. `path` must be short (`near`);
    `private` where the folder might let others in."""

    def __init__(self, path: str, private: bool = False) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            try:
                self._socket.bind(path)
            except OSError:
                # The name of a process that died: whoever holds the folder's lock may take it.
                with suppress(FileNotFoundError):
                    os.unlink(path)
                self._socket.bind(path)
            if private:
                os.chmod(path, 0o600)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The socket's descriptor, for an event loop."""
        return self._socket.fileno()

    def waitable(self) -> int:
        """What a `Poller` takes."""
        return self._socket.fileno()

    def receive(self) -> bytes:
        """The next datagram. BlockingIOError when there is none."""
        return self._socket.recv(_LARGEST)

    def send(self, data: bytes, path: str) -> None:
        """Send to another one. BlockingIOError when that is full, OSError when nobody is there."""
        self._socket.sendto(data, path)

    def close(self) -> None:
        """Receive nothing any more."""
        self._socket.close()

    def remove(self) -> None:
        """Close, and take the name away."""
        self._socket.close()
        with suppress(OSError):
            os.unlink(self._path)


def send_datagram(folder: str | Path, name: str, data: bytes) -> None:
    """Send a datagram to a name in a folder. OSError when nobody is there, or the queue is full."""
    path = os.path.join(folder, name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
            sender.sendto(data, path)
        else:
            _send_from_inside(sender, data, folder, name)


def _send_from_inside(sender: socket.socket, data: bytes, folder: str | Path, name: str) -> None:
    """Send by a short name: the path of the folder is longer than a socket address."""
    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.chdir(folder)
        sender.sendto(data, name)
    finally:
        os.fchdir(here)
        os.close(here)


def listen(folder: Folder, name: str) -> tuple[socket.socket, bytes]:
    """A stream socket bound to a name in a folder, in place of what a dead process left there.

    With it the line that every caller must say first; empty: the folder keeps others out.
    """
    path = folder.near(name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener, b""


def connect(folder: Folder, name: str, timeout: float) -> socket.socket:
    """A stream to who listens at a name. FileNotFoundError, ConnectionRefusedError: nobody."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.settimeout(timeout)
        peer.connect(folder.near(name))
    except OSError:
        peer.close()
        raise
    return peer


def notify(address: str, text: bytes) -> None:
    """One datagram to the service manager's socket (sd_notify(3)). OSError when it is not there."""
    # A leading @ is an abstract socket (unix(7)).
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text, target)


def send_descriptor(to: socket.socket, data: bytes, descriptor: int) -> None:
    """Send a message with an open file (SCM_RIGHTS, unix(7)). BlockingIOError when the queue of
    the other side is full, OSError when it is gone."""
    socket.send_fds(to, [data], [descriptor])


def receive_descriptor(
    source: socket.socket, size: int, flags: int = 0
) -> tuple[bytes, int | None]:
    """The next message, of `size` bytes at the most, and the open file that came with it."""
    data, ancillary, _, _ = source.recvmsg(size, _ROOM_FOR_ONE, _CLOSE_ON_EXEC | flags)
    if not ancillary:
        return data, None
    return data, int.from_bytes(ancillary[0][2][:_INT], sys.byteorder)


class SharedQueue:
    """The messages of a socket from which several processes take, each message by one of them.

    On Linux it is the first of those that wait, in the order in which they began to take part: so
    few messages have few processes at work, whose memory is in the caches of the processors.
    """

    def __init__(self, source: socket.socket) -> None:
        self._source = source
        self._waiting: select.epoll | None = None
        if _EXCLUSIVE is not None:
            # The kernel wakes one of those that wait in epoll_wait(2), in the order of
            # registration; of those in recv(2) the one that has waited longest.
            self._waiting = select.epoll()
            self._waiting.register(source, select.EPOLLIN | _EXCLUSIVE)

    def receive(self, size: int) -> tuple[bytes, int | None]:
        """Wait for a message, as `receive_descriptor`; empty when nobody can send any more."""
        if self._waiting is None:
            return receive_descriptor(self._source, size)
        while True:
            self._waiting.poll()
            try:  # suppress() would cost each job more than this
                return receive_descriptor(self._source, size, _AT_ONCE)
            except BlockingIOError:
                # One that was at work when it came has looked sooner.
                continue

    def close(self) -> None:
        """Take no part any more."""
        if self._waiting is not None:
            self._waiting.close()
        self._source.close()
