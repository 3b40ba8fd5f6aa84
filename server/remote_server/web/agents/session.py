"""The WebSocket of an agent's session: the handshake, then the hub has it. Speaks HTTP."""

from __future__ import annotations

from aiohttp import web

from remote_protocol.limits import MAX_CHUNK_FRAME
from remote_server.web.access import AGENT
from remote_server.web.agents.handshake import websocket_of
from remote_server.web.http.connection import Connection
from remote_server.web.route import Call, Route


@Route(
    "GET",
    "/api/v1/agent/session",
    AGENT,
    status=101,
    lasting=True,
    action="agent.connect",
    operation="open_agent_session",
)
async def session(call: Call) -> web.StreamResponse:
    """WebSocket of agents, subprotocol remote-agent.v1."""
    request = call.request
    link = websocket_of(call, MAX_CHUNK_FRAME)
    if isinstance(request.protocol, Connection):
        call.services.connections.linked(request.protocol, call.token.agent or "")
    call.opened = link
    await link.prepare(request)
    serving = call.services.hub.serve(call.token, link, request.remote or "")
    if isinstance(request.protocol, Connection):
        # A fleet's links are idle nearly always: each would keep its request for days.
        link.outlive(request.protocol)
        request.protocol.carry(serving)
    else:
        await serving
    return link
