"""The network of the event loop: real sockets, no wait that stops others."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest

from remote_client.asyncio_network import AsyncioNetwork
from tests.support.ports import free_port


async def test_a_wire_over_a_real_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = await AsyncioNetwork().connect("127.0.0.1", listener.getsockname()[1], 10)
        peer, _ = listener.accept()
        with closing(wire), peer:
            assert not wire.readable()
            await wire.send(b"hello", 10)
            assert peer.recv(10) == b"hello"
            with pytest.raises(TimeoutError):
                await wire.receive(10, 0.01)
            peer.sendall(b"and back")
            assert await wire.receive(100, 10) == b"and back"
            peer.close()
            assert await wire.receive(100, 10) == b""


async def test_waiting_stops_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = await AsyncioNetwork().connect("127.0.0.1", listener.getsockname()[1], 10)
        peer, _ = listener.accept()
        with closing(wire), peer:
            receiving = asyncio.create_task(wire.receive(10, None))
            await AsyncioNetwork().sleep(0)
            assert not receiving.done()
            peer.sendall(b"now")
            assert await receiving == b"now"


async def test_nobody_there() -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        await AsyncioNetwork().connect("127.0.0.1", port, 10)
    with pytest.raises(OSError, match=r"no\.such\.host|not known|resolution"):
        await AsyncioNetwork().connect("no.such.host.invalid", port, 10)
