"""How agents register and unregister. Reads and writes the store."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from aiohttp import web

from remote_protocol.api.registration import (
    QueueStanding,
    Registered,
    Registration,
    RegistrationView,
)
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import TOKEN_ENTROPY, TokenKind, make_token
from remote_protocol.messages import Assignment
from remote_server.domain.enrolment import ANY
from remote_server.domain.model import Agent
from remote_server.errors import NotFound
from remote_server.queries.views import when_if
from remote_server.store.agents import grant_of
from remote_server.web.access import AGENT, ENROL
from remote_server.web.authenticator import digest
from remote_server.web.refusals import audited
from remote_server.web.route import Call, Route, answer, no_content


@Route(
    "POST",
    "/api/v1/agent/register",
    ENROL,
    body=Registration,
    answer=Registered,
    status=201,
    action="agent.register",
    operation="register_agent",
    also=((200, "Nothing is new"),),
    refuses=(ErrorCode.CONFLICT, ErrorCode.NAME_TAKEN, ErrorCode.UNKNOWN_QUEUE),
)
async def register(call: Call) -> web.StreamResponse:
    """Enrol an agent, or change what its host says about it.

    The same settings again change nothing.
    """
    body = await call.read(Registration)
    text = make_token(TokenKind.AGENT, os.urandom(TOKEN_ENTROPY))
    enrolment = await call.services.store.register(
        body,
        call.token,
        digest(text),
        time.time(),
        by=call.principal,
        audited=audited(call, body.name),
    )
    agent = enrolment.agent
    return answer(
        Registered(
            name=agent.name,
            token=text if enrolment.token_issued else None,
            assignment=_assignment(agent),
            changed=enrolment.changed,
        ),
        201 if enrolment.changed else 200,
    )


@Route("GET", "/api/v1/agent/registration", ENROL, answer=RegistrationView)
async def show(call: Call) -> web.StreamResponse:
    """What the server knows of the agent that asks.

    Changes nothing, and spends no use of a registration token.
    """
    token, store = call.token, call.services.store
    known: Agent | None = None
    if token.agent is not None:
        with suppress(NotFound):
            known = await store.agent(token.agent)
    grant = grant_of(token)
    queues = {queue.name: queue for queue in await store.queues()}
    view = RegistrationView(
        kind="agent" if token.kind == "agent" else "registration",
        name=token.agent,
        registered=known is not None,
        queues=[
            QueueStanding(name=name, exists=name in queues, paused=queues[name].paused)
            if name in queues
            else QueueStanding(name=name, exists=False)
            for name in (grant.usual if known is None else known.queues)
        ],
        any_queue=ANY in grant.queues,
        uses_left=token.uses_left,
        expires_at=when_if(token.expires_at),
    )
    if known is not None:
        view = view.model_copy(
            update={
                "assignment": _assignment(known),
                "paused": known.paused,
                "pause_comment": known.pause_comment,
                "draining": known.draining,
            }
        )
    return answer(view)


@Route(
    "DELETE",
    "/api/v1/agent/registration",
    AGENT,
    status=204,
    action="agent.unregister",
    operation="unregister_agent",
)
async def unregister(call: Call) -> web.StreamResponse:
    """Forget the agent that asks for it.

    The bearer's agent goes, with its token.
    """
    name, why = call.token.agent or "", "the agent unregistered itself"
    told = audited(call, name)
    await call.services.store.delete_agent(name, time.time(), why, by=call.principal, audited=told)
    return no_content()


def _assignment(agent: Agent) -> Assignment:
    return Assignment(queues=list(agent.queues), labels=agent.labels, capacity=agent.capacity)
