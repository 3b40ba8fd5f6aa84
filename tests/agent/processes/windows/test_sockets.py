"""Letterboxes and streams over the loopback: only who knows the key is heard."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import json
import socket
from pathlib import Path

import pytest

from remote_agent.processes.windows import sockets
from remote_agent.processes.windows.files import Folder
from remote_agent.processes.windows.polling import Poller


def test_a_letterbox_takes_what_is_posted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sockets.send_datagram(tmp_path, "box", b"nobody")
    box = sockets.DatagramSocket(str(tmp_path / "box"))
    waiter = Poller()
    waiter.add(box.waitable())
    assert waiter.wait(0) == []
    sockets.send_datagram(tmp_path, "box", b"one")
    other = sockets.DatagramSocket(str(tmp_path / "other"))
    assert waiter.wait(5000) and box.receive() == b"one"
    other.send(b"two", str(tmp_path / "box"))
    assert waiter.wait(5000) and box.receive() == b"two"
    with pytest.raises(BlockingIOError):
        box.receive()
    box.remove()
    other.remove()
    assert not list(tmp_path.iterdir())


def test_who_does_not_know_the_key_is_not_heard(tmp_path: Path) -> None:
    box = sockets.DatagramSocket(str(tmp_path / "box"))
    port = json.loads((tmp_path / "box").read_bytes())["port"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for data in (b"", b"short", b"0" * 32 + b'{"do":"kill"}', b"x" * 60_000):
            stranger.sendto(data, ("127.0.0.1", port))
    sockets.send_datagram(tmp_path, "box", b"friend")
    waiter = Poller()
    waiter.add(box.waitable())
    assert waiter.wait(5000) and box.receive() == b"friend"
    box.remove()


def test_the_address_of_one_that_died_is_nobodys(tmp_path: Path) -> None:
    box = sockets.DatagramSocket(str(tmp_path / "box"))
    body = json.loads((tmp_path / "box").read_bytes())
    (tmp_path / "box").write_text(json.dumps({**body, "start": "1"}))
    with pytest.raises(ConnectionRefusedError):
        sockets.send_datagram(tmp_path, "box", b"x")
    (tmp_path / "box").write_text("[]")
    with pytest.raises(ConnectionRefusedError):
        sockets.send_datagram(tmp_path, "box", b"x")
    box.close()


def test_a_new_agent_is_found_by_an_old_shim(tmp_path: Path) -> None:
    shim = sockets.DatagramSocket(str(tmp_path / "control"))
    first = sockets.DatagramSocket(str(tmp_path / "agent"))
    shim.send(b"a", str(tmp_path / "agent"))
    first.close()
    shim.send(b"lost", str(tmp_path / "agent"))
    second = sockets.DatagramSocket(str(tmp_path / "agent"))
    shim.send(b"b", str(tmp_path / "agent"))
    waiter = Poller()
    waiter.add(second.waitable())
    assert waiter.wait(5000) and second.receive() == b"b"
    with pytest.raises(BlockingIOError):
        shim.receive()
    second.remove()
    shim.remove()


def test_a_stream_begins_with_the_key(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        with pytest.raises(FileNotFoundError):
            sockets.connect(folder, "endpoint", 1.0)
        listener, key = sockets.listen(folder, "endpoint")
        with listener:
            listener.listen()
            listener.setblocking(True)
            with sockets.connect(folder, "endpoint", 5.0) as peer:
                peer.sendall(b"x")
                taken = listener.accept()[0]
                got = b""
                while len(got) < 34:
                    got += taken.recv(64)
                assert got == key + b"\nx" and len(key) == 32
                taken.close()
    sockets.notify("nobody", b"READY=1")


def test_no_queue_is_shared_here() -> None:
    queue = sockets.SharedQueue(socket.socket())
    with pytest.raises(OSError, match="no open file"):
        queue.receive(1)
    queue.close()
