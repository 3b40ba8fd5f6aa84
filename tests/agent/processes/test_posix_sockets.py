"""Datagram sockets and the stream between command line and agent, over real sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from remote_agent.processes import posix_sockets as sockets
from remote_agent.processes.posix_files import Folder
from tests.support.shim_harness import eventually, state

LINUX = sys.platform == "linux"
_TAKER = """
import os, socket, sys
from remote_agent.processes import SharedQueue
queue = SharedQueue(socket.socket(fileno=int(sys.argv[1])))
os.write(1, b".")
while message := queue.receive(64)[0]:
    os.write(1, message + b".")
queue.close()
"""


def test_datagrams_arrive_at_a_name(tmp_path: Path) -> None:
    deep = tmp_path / ("y" * 120)
    deep.mkdir()
    with pytest.raises(OSError):
        sockets.send_datagram(deep, "box", b"nobody")
    with Folder(deep) as folder:
        box = sockets.DatagramSocket(folder.near("box"), private=True)
        assert (deep / "box").stat().st_mode & 0o777 == 0o600
        sockets.send_datagram(deep, "box", b"one")
        assert box.receive() == b"one" and box.waitable() == box.fileno()
        with pytest.raises(BlockingIOError):
            box.receive()
        again = sockets.DatagramSocket(folder.near("box"))
        sockets.send_datagram(deep, "box", b"two")
        assert again.receive() == b"two", "the name of one that died is taken over"
        box.close()
        again.remove()
    assert not list(deep.iterdir())


def test_a_stream_to_who_listens(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        with pytest.raises(FileNotFoundError):
            sockets.connect(folder, "endpoint", 1.0)
        listener, password = sockets.listen(folder, "endpoint")
        assert password == b"" and (tmp_path / "endpoint").stat().st_mode & 0o777 == 0o600
        with listener:
            listener.listen()
            with sockets.connect(folder, "endpoint", 5.0) as peer:
                peer.sendall(b"x")
                listener.setblocking(True)
                taken = listener.accept()[0]
                assert taken.recv(8) == b"x"
                taken.close()
        with pytest.raises(ConnectionRefusedError):
            sockets.connect(folder, "endpoint", 1.0)


def test_the_service_manager_hears(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        sockets.notify(address, b"READY=1")
        assert manager.recv(64) == b"READY=1"


def test_an_open_file_goes_with_a_message() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other, tempfile.TemporaryFile() as file:
        one.send(b"plain")
        sockets.send_descriptor(one, b"with a file", file.fileno())
        assert sockets.receive_descriptor(other, 100) == (b"plain", None)
        data, descriptor = sockets.receive_descriptor(other, 100)
        assert data == b"with a file" and descriptor is not None
        assert os.path.sameopenfile(descriptor, file.fileno())
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)
        one.close()
        assert sockets.receive_descriptor(other, 100) == (b"", None)


class Taker:
    """A process that takes from the queue. It may be stopped, so it has a session of its own."""

    def __init__(self, source: socket.socket) -> None:
        number = source.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKER, str(number)],
            stdout=subprocess.PIPE,
            pass_fds=[number],
            start_new_session=True,
        )
        self.waits(b".")

    def waits(self, said: bytes) -> None:
        """Return when it has said this and waits for the next message: there is nothing else for
        which it sleeps then."""
        assert self.process.stdout is not None
        assert os.read(self.process.stdout.fileno(), 64) == said
        self.sleeps("S")

    def sleeps(self, how: str) -> None:
        """Return when it is in this state."""
        eventually(lambda: state(self.process.pid) == how, what=f"for it to be in state {how}")

    def rest(self) -> bytes:
        """What it has said, when it has ended."""
        said, _ = self.process.communicate(timeout=10)
        assert self.process.returncode == 0
        return said

    def close(self) -> None:
        """End it if it has not."""
        self.process.kill()
        self.process.communicate()


@pytest.mark.skipif(not LINUX, reason="the order is epoll's")
def test_the_first_of_those_that_wait_takes_each_message() -> None:
    sending, source = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ExitStack() as stack:
        stack.enter_context(source)
        stack.enter_context(sending)
        takers = [Taker(source) for _ in range(3)]
        for taker in takers:
            stack.callback(taker.close)
        first, second, _ = takers
        for message in (b"1", b"2", b"3", b"4"):
            sending.send(message)
            first.waits(message + b".")
        # One that hangs keeps no message from the others.
        os.kill(first.process.pid, signal.SIGSTOP)
        first.sleeps("T")
        sending.send(b"5")
        second.waits(b"5.")
        os.kill(first.process.pid, signal.SIGCONT)
        first.sleeps("S")
        sending.send(b"6")
        first.waits(b"6.")
        # What comes together is taken by as many as are needed, each message once.
        sending.send(b"7")
        sending.send(b"8")
        sending.send(b"9")
        sending.close()
        assert sorted(b"".join(taker.rest() for taker in takers)) == sorted(b"7.8.9.")
