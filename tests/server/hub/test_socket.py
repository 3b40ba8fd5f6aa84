"""`remote_server.hub.socket`: what the hub needs of a WebSocket, aiohttp's have."""

from __future__ import annotations

from aiohttp import web

from remote_server.hub.socket import Socket


def test_the_sockets_of_aiohttp_are_such_sockets() -> None:
    wire: Socket = web.WebSocketResponse()
    wanted = [name for name in vars(Socket) if not name.startswith("_") or name == "__anext__"]
    assert len(wanted) >= 6
    assert [name for name in wanted if not hasattr(wire, name)] == []
