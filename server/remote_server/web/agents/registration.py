"""How agents register and unregister. Reads and writes the store."""

from __future__ import annotations

import os
import time

from aiohttp import web

from remote_protocol.api.registration import Registered, Registration
from remote_protocol.ids import TOKEN_ENTROPY, TokenKind, make_token
from remote_protocol.messages import Assignment
from remote_server.web.access import AGENT, ENROL
from remote_server.web.authenticator import digest
from remote_server.web.route import Call, Route, answer, no_content


@Route("POST", "/api/v1/agent/register", ENROL, body=Registration, answer=Registered, status=201)
async def register(call: Call) -> web.StreamResponse:
    """Enrol an agent, or change what its host says about it.

    The same settings again change nothing.
    """
    body = await call.read(Registration)
    text = make_token(TokenKind.AGENT, os.urandom(TOKEN_ENTROPY))
    enrolment = await call.services.store.register(
        body, call.token, digest(text), time.time(), by=call.principal
    )
    agent = enrolment.agent
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


@Route("DELETE", "/api/v1/agent/registration", AGENT, status=204)
async def unregister(call: Call) -> web.StreamResponse:
    """Forget the agent that asks for it.

    The bearer's agent goes, with its token.
    """
    name, why = call.token.agent or "", "the agent unregistered itself"
    await call.services.store.delete_agent(name, time.time(), why, by=call.principal)
    return no_content()
