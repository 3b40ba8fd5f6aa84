"""API tokens, tokens of single agents, and registration tokens: create, list, revoke."""

from __future__ import annotations

import os
import time

from aiohttp import web

from remote_protocol.api import (
    Page,
    RegistrationTokenCreate,
    TokenCreate,
    TokenCreated,
    TokenView,
)
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import TOKEN_ENTROPY, Role, TokenKind, make_token
from remote_protocol.spec import DEFAULT_QUEUE
from remote_server.domain.enrolment import ANY
from remote_server.domain.model import Token
from remote_server.web.auth import digest
from remote_server.web.door import ADMIN, VIEWER
from remote_server.web.paging import page
from remote_server.web.problems import ApiProblem, not_found
from remote_server.web.route import Call, PageQuery, Route, answer, no_content
from remote_server.web.views import token_values, token_view

_REGISTRATION = "registration"


async def create(call: Call) -> web.StreamResponse:
    """`POST /tokens`: for a person or a program, or with `agent` for one agent to come."""
    body = await call.read(TokenCreate)
    kind = TokenKind.AGENT if body.agent else TokenKind.API
    return await _create(
        call,
        kind,
        name=body.name,
        role=None if body.agent else body.role,
        agent=body.agent,
        queues=_covered(body.queues, body.any_queue) if body.agent else (),
        labels=body.labels,
        expires=body.expires,
    )


async def create_registration(call: Call) -> web.StreamResponse:
    """`POST /registration-tokens`."""
    body = await call.read(RegistrationTokenCreate)
    return await _create(
        call,
        TokenKind.REGISTRATION,
        name=f"made by {call.token.name}",
        queues=_covered(body.queues, body.any_queue),
        labels=body.labels,
        allow_replace=body.allow_replace,
        uses=body.uses,
        expires=body.expires,
    )


def _covered(queues: list[str], any_queue: bool) -> tuple[str, ...]:
    return (ANY,) if any_queue else tuple(dict.fromkeys(queues)) or (DEFAULT_QUEUE,)


async def _create(
    call: Call,
    kind: TokenKind,
    *,
    name: str,
    role: Role | None = None,
    agent: str | None = None,
    queues: tuple[str, ...] = (),
    labels: dict[str, str] | None = None,
    allow_replace: bool = False,
    uses: int | None = None,
    expires: float | None = None,
) -> web.StreamResponse:
    text = make_token(kind, os.urandom(TOKEN_ENTROPY))
    now = time.time()
    token = await call.services.store.create_token(
        kind.name.lower(),
        digest(text),
        name,
        now,
        role=role,
        agent=agent,
        queues=queues,
        labels=labels,
        allow_replace=allow_replace,
        uses=uses,
        expires_at=None if expires is None else now + expires,
    )
    made = TokenCreated.model_validate({**token_values(token), "token": text})
    return answer(made, 201)


async def list_tokens(call: Call) -> web.StreamResponse:
    """`GET /tokens`: those of people, programs and agents."""
    store = call.services.store
    return _list(call, [*await store.tokens("api"), *await store.tokens("agent")])


async def list_registration(call: Call) -> web.StreamResponse:
    """`GET /registration-tokens`."""
    return _list(call, await call.services.store.tokens(_REGISTRATION))


def _list(call: Call, tokens: list[Token]) -> web.StreamResponse:
    query = call.query(PageQuery)
    chosen, following = page(tokens, lambda token: token.id, query.limit, query.cursor)
    views = [token_view(token) for token in chosen]
    return answer(Page[TokenView].model_construct(items=views, next_cursor=following))


async def revoke(call: Call) -> web.StreamResponse:
    """`DELETE /tokens/{id}`: refused from the next request on; an agent's link is closed."""
    return await _revoke(call, registration=False)


async def revoke_registration(call: Call) -> web.StreamResponse:
    """`DELETE /registration-tokens/{id}`: agents that enrolled with it stay."""
    return await _revoke(call, registration=True)


async def _revoke(call: Call, registration: bool) -> web.StreamResponse:
    services = call.services
    name = call.path("id")
    token = await services.store.token(name)
    if (token.kind == _REGISTRATION) is not registration:
        raise not_found("registration token" if registration else "token", name)
    if token.id == call.token.id:
        raise ApiProblem(
            ErrorCode.CONFLICT,
            "a token cannot revoke itself: use another admin token, so that one is left",
        )
    await services.store.revoke(token.id)
    services.doors.forget()
    if token.agent is not None:
        await services.hub.drop(token.agent, "the agent's token was revoked")
    return no_content()


async def whoami(call: Call) -> web.StreamResponse:
    """`GET /whoami`: the caller's own token, without its text."""
    return answer(token_view(call.token))


ROUTES = (
    Route("GET", "/api/v1/whoami", whoami, "Show the caller's own token", VIEWER, answer=TokenView),
    Route(
        "POST",
        "/api/v1/tokens",
        create,
        "Create an API token, or the token of one agent",
        ADMIN,
        body=TokenCreate,
        answer=TokenCreated,
        status=201,
    ),
    Route(
        "GET",
        "/api/v1/tokens",
        list_tokens,
        "List API tokens and agent tokens",
        ADMIN,
        query=PageQuery,
        answer=Page[TokenView],
    ),
    Route("DELETE", "/api/v1/tokens/{id}", revoke, "Revoke a token", ADMIN, status=204),
    Route(
        "POST",
        "/api/v1/registration-tokens",
        create_registration,
        "Create a registration token",
        ADMIN,
        body=RegistrationTokenCreate,
        body_optional=True,
        answer=TokenCreated,
        status=201,
    ),
    Route(
        "GET",
        "/api/v1/registration-tokens",
        list_registration,
        "List registration tokens",
        ADMIN,
        query=PageQuery,
        answer=Page[TokenView],
    ),
    Route(
        "DELETE",
        "/api/v1/registration-tokens/{id}",
        revoke_registration,
        "Revoke a registration token",
        ADMIN,
        status=204,
    ),
)
