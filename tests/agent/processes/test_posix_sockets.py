"""Datagram sockets and the stream between command line and agent, over real sockets."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from remote_agent.processes import posix_sockets as sockets
from remote_agent.processes.posix_files import Folder


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
