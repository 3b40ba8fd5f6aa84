"""WebSockets to a real server: frames are written without waiting, little waits in the kernel."""

from __future__ import annotations

import socket

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.websocket import UNSENT, open_websocket
from remote_protocol.codec import encode
from remote_protocol.messages import Heartbeat
from tests.support.connect_proxy import ConnectProxy
from tests.support.fake_server import TOKEN, FakeServer, until
from tests.support.scripted import Scripted, http


async def test_frames_leave_without_a_turn_of_the_loop():
    async with FakeServer() as server:
        wire = await open_websocket(Endpoint(server.url, TOKEN))
        wire.write(encode(Heartbeat(seq=7)))
        await wire.drain()
        assert '"heartbeat_ack"' in str(await wire.recv())
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
