"""`remote_server.hub.socket`: what the hub needs of a WebSocket, those of agents have."""

from __future__ import annotations

from remote_server.hub.socket import Socket
from remote_server.web.agents.handshake import AgentSocket


def test_the_sockets_of_agents_are_such_sockets() -> None:
    wire: Socket = AgentSocket()
    wanted = [name for name in vars(Socket) if not name.startswith("_") or name == "__anext__"]
    assert len(wanted) >= 6
    assert [name for name in wanted if not hasattr(wire, name)] == []
