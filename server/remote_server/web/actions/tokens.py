"""Making and revoking tokens."""

from __future__ import annotations

import os
import time
from typing import Final

from remote_protocol.api.tokens import RegistrationTokenCreate, TokenCreate
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import TOKEN_ENTROPY, TokenKind, make_token
from remote_server.domain.enrolment import ANY
from remote_server.domain.model import Token
from remote_server.web.authenticator import digest
from remote_server.web.http.problems import ApiProblem, not_found
from remote_server.web.route import Call

REGISTRATION: Final = "registration"


async def create_token(call: Call, wanted: TokenCreate) -> tuple[Token, str]:
    """Make an API token, or the token of one agent; with its text, which is kept nowhere."""
    text = make_token(TokenKind.AGENT if wanted.agent else TokenKind.API, os.urandom(TOKEN_ENTROPY))
    now = time.time()
    token = await call.services.store.create_token(
        "agent" if wanted.agent else "api",
        digest(text),
        wanted.name,
        now,
        role=None if wanted.agent else wanted.role,
        agent=wanted.agent,
        queues=await _covered(call, wanted.queues, wanted.any_queue)
        if wanted.agent
        else tuple(dict.fromkeys(wanted.queues)),
        labels=wanted.labels,
        expires_at=None if wanted.expires is None else now + wanted.expires,
        by=call.principal,
    )
    return token, text


async def create_registration_token(
    call: Call, wanted: RegistrationTokenCreate
) -> tuple[Token, str]:
    """Make a registration token; with its text, which is kept nowhere."""
    text = make_token(TokenKind.REGISTRATION, os.urandom(TOKEN_ENTROPY))
    now = time.time()
    token = await call.services.store.create_token(
        REGISTRATION,
        digest(text),
        f"made by {call.token.name}",
        now,
        queues=await _covered(call, wanted.queues, wanted.any_queue),
        labels=wanted.labels,
        allow_replace=wanted.allow_replace,
        uses=wanted.uses,
        expires_at=None if wanted.expires is None else now + wanted.expires,
        by=call.principal,
    )
    return token, text


async def revoke_token(call: Call, name: str, *, registration: bool) -> None:
    """Make a token useless. ApiProblem when it is of the other kind, or the caller's own."""
    store = call.services.store
    token = await store.token(name)
    if (token.kind == REGISTRATION) is not registration:
        raise not_found("registration token" if registration else "token", name)
    if token.id == call.token.id:
        raise ApiProblem(
            ErrorCode.CONFLICT,
            "a token cannot revoke itself: use another admin token, so that one is left",
        )
    await store.revoke(token.id, by=call.principal)


async def _covered(call: Call, queues: list[str], any_queue: bool) -> tuple[str, ...]:
    """The queues that an agent's token covers; the default one when none is named."""
    if any_queue:
        return (ANY,)
    return tuple(dict.fromkeys(queues)) or (await call.services.store.default_queue(),)
