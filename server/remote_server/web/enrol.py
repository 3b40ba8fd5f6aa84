"""The doors for agents: register, unregister, and the WebSocket of their session."""

from __future__ import annotations

import os
import time
from typing import Final

from aiohttp import web

from remote_protocol.api import Registered, Registration
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import TOKEN_ENTROPY, TokenKind, make_token
from remote_protocol.limits import MAX_CHUNK_FRAME, SUBPROTOCOL
from remote_protocol.messages import Assignment
from remote_server.web.auth import digest
from remote_server.web.connection import Connection
from remote_server.web.door import AGENT, ENROL
from remote_server.web.problems import ApiProblem
from remote_server.web.route import Call, Route, answer, no_content

SESSION_PATH: Final = "/api/v1/agent/session"


async def register(call: Call) -> web.StreamResponse:
    """`POST /agent/register`: enrols a host; the same settings again change nothing."""
    body = await call.read(Registration)
    text = make_token(TokenKind.AGENT, os.urandom(TOKEN_ENTROPY))
    services = call.services
    enrolment = await services.store.register(body, call.token, digest(text), time.time())
    agent = enrolment.agent
    if enrolment.replaced:
        services.doors.forget()
        reason = "another host took over the agent's name"
        await services.hub.drop(agent.name, reason, lost=True)
    elif enrolment.changed:
        await services.hub.configure(agent.name)
    return answer(
        Registered(
            name=agent.name,
            token=text if enrolment.token_issued else None,
            assignment=Assignment(
                queues=list(agent.queues), labels=agent.labels, capacity=agent.capacity
            ),
            changed=enrolment.changed,
        ),
        201 if enrolment.changed else 200,
    )


async def unregister(call: Call) -> web.StreamResponse:
    """`DELETE /agent/registration`: the bearer's agent goes, with its token."""
    name = call.token.agent or ""
    await call.services.store.delete_agent(name, time.time())
    call.services.doors.forget()
    await call.services.hub.drop(name, "the agent unregistered itself", lost=True)
    return no_content()


async def session(call: Call) -> web.StreamResponse:
    """`GET /agent/session`: hands the link to the hub for as long as it lasts."""
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
    if call.services.wakes.closing:
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


ROUTES = (
    Route(
        "POST",
        "/api/v1/agent/register",
        register,
        "Enrol an agent, or change what its host says about it",
        ENROL,
        body=Registration,
        answer=Registered,
        status=201,
    ),
    Route(
        "DELETE",
        "/api/v1/agent/registration",
        unregister,
        "Forget the agent that asks for it",
        AGENT,
        status=204,
    ),
    Route(
        "GET",
        SESSION_PATH,
        session,
        f"WebSocket of agents, subprotocol {SUBPROTOCOL}",
        AGENT,
        status=101,
        lasting=True,
    ),
)
