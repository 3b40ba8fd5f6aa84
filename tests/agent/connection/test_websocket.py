"""WebSockets to a real server: frames are written without waiting, little waits in the kernel."""

from __future__ import annotations

import socket

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.websocket import UNSENT, ServerSocket, open_websocket
from remote_protocol.codec import HEADER_SIZE, encode, pack_header
from remote_protocol.messages import Heartbeat
from tests.support.connect_proxy import ConnectProxy
from tests.support.fake_server import TOKEN, FakeServer, until
from tests.support.log_keys import new_key
from tests.support.scripted import Scripted, http


async def test_frames_leave_without_a_turn_of_the_loop():
    async with FakeServer() as server:
        wire = await open_websocket(Endpoint(server.url, TOKEN))
        wire.write(encode(Heartbeat(seq=7)))
        wire.flush()
        assert '"heartbeat_ack"' in str(await wire.recv())
        await wire.close(1000, "done")


def lengths_written(wire: ServerSocket, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each write of a WebSocket has, from now on."""
    written: list[int] = []
    write = wire.transport.write

    def noted(data: bytes) -> None:
        written.append(len(data))
        write(data)

    monkeypatch.setattr(wire.transport, "write", noted)
    return written


async def test_frames_that_leave_together_are_one_write(monkeypatch: pytest.MonkeyPatch):
    async with FakeServer() as server:
        wire = await open_websocket(Endpoint(server.url, TOKEN))
        written = lengths_written(wire, monkeypatch)
        key, chunk = new_key(), bytearray(HEADER_SIZE + 5)
        pack_header(chunk, key, 0)
        chunk[HEADER_SIZE:] = b"hello"
        for number in (7, 8):
            wire.write(encode(Heartbeat(seq=number)))
        wire.write(memoryview(chunk))
        chunk[HEADER_SIZE:] = b"other"
        assert not written
        wire.flush()
        wire.flush()
        assert len(written) == 1
        for number in (7, 8):
            assert f'"seq":{number}' in str(await wire.recv())
        await until(lambda: bytes(server.logs[key]) == b"hello")
        await wire.close(1000, "done")


async def test_large_frames_are_not_copied_into_one(monkeypatch: pytest.MonkeyPatch):
    async with FakeServer() as server:
        wire = await open_websocket(Endpoint(server.url, TOKEN))
        written = lengths_written(wire, monkeypatch)
        key, chunk = new_key(), bytearray(HEADER_SIZE + 100_000)
        pack_header(chunk, key, 0)
        wire.write(encode(Heartbeat(seq=7)))
        wire.write(memoryview(chunk))
        wire.flush()
        assert len(written) == 2 and written[0] < 1_000 < written[1]
        assert '"seq":7' in str(await wire.recv())
        await until(lambda: len(server.logs[key]) == 100_000)
        await wire.close(1000, "done")


async def test_little_waits_in_the_kernel():
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is None:
        return
    async with FakeServer() as server:
        wire = await open_websocket(Endpoint(server.url, TOKEN))
        raw = wire.transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, option) == UNSENT
        await wire.close(1000, "done")


@pytest.mark.parametrize("location", ["http://[", "ws://other.invalid/", "/api/v1/agent/session"])
@pytest.mark.parametrize("proxied", [False, True])
async def test_no_redirect_is_followed(location, proxied):
    """Through a proxy a redirect was an error that ended the agent."""
    with (
        Scripted(http(302, location=location)) as place,
        ConnectProxy(("127.0.0.1", place.port)) as proxy,
    ):
        endpoint = Endpoint(
            f"http://127.0.0.1:{place.port}", TOKEN, proxy=proxy.url if proxied else None
        )
        with pytest.raises(InvalidStatus):
            await open_websocket(endpoint)
        assert len(place.asked) == 1


async def test_a_link_that_is_cut_says_so():
    async with FakeServer() as server:
        wire = await open_websocket(Endpoint(server.url, TOKEN))
        await until(lambda: server.wire is not None)
        server.cut()
        with pytest.raises(ConnectionClosed):
            await wire.recv()
        assert wire.close_reason or wire.fault
        wire.write("nobody reads this")
        wire.flush()
