"""The network that blocks: real sockets."""

from __future__ import annotations

import socket
import time
from contextlib import closing

import pytest

from remote_client.modes import run
from remote_client.network import BlockingNetwork, Socket, is_readable
from tests.support.ports import free_port


def test_a_wire_over_a_real_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = run(BlockingNetwork().connect("127.0.0.1", listener.getsockname()[1], 10))
        peer, _ = listener.accept()
        with closing(wire), peer:
            assert not wire.readable()
            run(wire.send(b"hello", 10))
            assert peer.recv(10) == b"hello"
            with pytest.raises(TimeoutError):
                run(wire.receive(10, 0.01))
            peer.sendall(b"and back")
            assert run(wire.receive(100, 10)) == b"and back"
            peer.close()
            assert run(wire.receive(100, 10)) == b""
            assert wire.readable()


def test_nobody_there() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        run(BlockingNetwork().connect("127.0.0.1", port, 10))


def test_sleep_is_what_was_given() -> None:
    slept: list[float] = []
    run(BlockingNetwork(slept.append).sleep(3.0))
    assert slept == [3.0]
    begun = time.monotonic()
    run(BlockingNetwork().sleep(0.01))
    assert time.monotonic() - begun >= 0.01


def test_a_dead_peer_is_noticed_by_the_kernel() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = run(BlockingNetwork().connect("127.0.0.1", listener.getsockname()[1], 10))
        assert isinstance(wire, Socket)
        with closing(wire):
            assert wire._raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_readable_beyond_the_descriptors_of_select() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not is_readable(ours)
        theirs.sendall(b"x")
        assert is_readable(ours)
