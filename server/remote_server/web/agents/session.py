"""The WebSocket of an agent's session: the handshake, then the hub has it. Speaks HTTP."""

from __future__ import annotations

from aiohttp import web

from remote_protocol.errors import ErrorCode
from remote_protocol.limits import MAX_CHUNK_FRAME, SUBPROTOCOL
from remote_server.web.access import AGENT
from remote_server.web.http.connection import Connection
from remote_server.web.http.problems import ApiProblem
from remote_server.web.route import Call, Route


@Route("GET", "/api/v1/agent/session", AGENT, status=101, lasting=True)
async def session(call: Call) -> web.StreamResponse:
    """WebSocket of agents, subprotocol remote-agent.v1.

    Hands the link to the hub for as long as it lasts.
    """
    request = call.request
    # No compression: it costs more than the link saves (51 of 400 MB/s). No heartbeat of the
    # WebSocket layer: the protocol has its own, with an answer that says more.
    link = web.WebSocketResponse(
        protocols=(SUBPROTOCOL,),
        compress=False,
        max_msg_size=MAX_CHUNK_FRAME,
        heartbeat=None,
        autoping=True,
    )
    if not link.can_prepare(request).ok:
        raise ApiProblem(
            ErrorCode.BAD_REQUEST,
            f"this is the WebSocket of agents (subprotocol {SUBPROTOCOL}); the request asks for "
            "no WebSocket. A proxy in between may have removed the Upgrade header",
            headers={"Upgrade": "websocket"},
        )
    if SUBPROTOCOL not in _offered(request):
        raise ApiProblem(
            ErrorCode.BAD_REQUEST,
            f"the request does not offer the subprotocol {SUBPROTOCOL}: it is no agent's, or a "
            "proxy in between has removed Sec-WebSocket-Protocol",
        )
    if call.services.followers.closing:
        raise ApiProblem(
            ErrorCode.STORE_UNAVAILABLE, "the server is stopping", headers={"Retry-After": "1"}
        )
    if isinstance(request.protocol, Connection):
        call.services.connections.linked(request.protocol, call.token.agent or "")
    call.opened = link
    await link.prepare(request)
    await call.services.hub.serve(call.token, link, request.remote or "")
    return link


def _offered(request: web.Request) -> set[str]:
    """The subprotocols that a WebSocket handshake offers (RFC 6455 §11.3.4)."""
    lines = request.headers.getall("Sec-WebSocket-Protocol", [])
    return {name.strip() for line in lines for name in line.split(",")}
