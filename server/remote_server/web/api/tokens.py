"""API tokens, tokens of single agents, and registration tokens: create, list, revoke."""

from __future__ import annotations

import os
import time

from aiohttp import web

from remote_protocol.api.bodies import Page
from remote_protocol.api.tokens import RegistrationTokenCreate, TokenCreate, TokenCreated, TokenView
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import TOKEN_ENTROPY, Role, TokenKind, make_token
from remote_protocol.spec import DEFAULT_QUEUE
from remote_server.domain.enrolment import ANY
from remote_server.domain.model import Token
from remote_server.queries.views import token_values, token_view
from remote_server.web.access import ADMIN, VIEWER
from remote_server.web.authenticator import digest
from remote_server.web.http.paging import page
from remote_server.web.http.problems import ApiProblem, not_found
from remote_server.web.route import Call, PageQuery, Route, answer, no_content

_REGISTRATION = "registration"


@Route("POST", "/api/v1/tokens", ADMIN, body=TokenCreate, answer=TokenCreated, status=201)
async def create(call: Call) -> web.StreamResponse:
    """Create an API token, or the token of one agent.

    For a person or a program, or with `agent` for one agent to come.
    """
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


@Route(
    "POST",
    "/api/v1/registration-tokens",
    ADMIN,
    body=RegistrationTokenCreate,
    body_optional=True,
    answer=TokenCreated,
    status=201,
)
async def create_registration(call: Call) -> web.StreamResponse:
    """Create a registration token."""
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
        by=call.principal,
    )
    made = TokenCreated.model_validate({**token_values(token), "token": text})
    return answer(made, 201)


@Route("GET", "/api/v1/tokens", ADMIN, query=PageQuery, answer=Page[TokenView])
async def list_tokens(call: Call) -> web.StreamResponse:
    """List API tokens and agent tokens."""
    store = call.services.store
    return _list(call, [*await store.tokens("api"), *await store.tokens("agent")])


@Route("GET", "/api/v1/registration-tokens", ADMIN, query=PageQuery, answer=Page[TokenView])
async def list_registration(call: Call) -> web.StreamResponse:
    """List registration tokens."""
    return _list(call, await call.services.store.tokens(_REGISTRATION))


def _list(call: Call, tokens: list[Token]) -> web.StreamResponse:
    query = call.query(PageQuery)
    chosen, following = page(tokens, lambda token: token.id, query.limit, query.cursor)
    views = [token_view(token) for token in chosen]
    return answer(Page[TokenView].model_construct(items=views, next_cursor=following))


@Route("DELETE", "/api/v1/tokens/{id}", ADMIN, status=204)
async def revoke(call: Call) -> web.StreamResponse:
    """Revoke a token.

    Refused from the next request on; an agent's link is closed.
    """
    return await _revoke(call, registration=False)


@Route("DELETE", "/api/v1/registration-tokens/{id}", ADMIN, status=204)
async def revoke_registration(call: Call) -> web.StreamResponse:
    """Revoke a registration token.

    Agents that enrolled with it stay.
    """
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
    await services.store.revoke(token.id, by=call.principal)
    return no_content()


@Route("GET", "/api/v1/whoami", VIEWER, answer=TokenView)
async def whoami(call: Call) -> web.StreamResponse:
    """Show the caller's own token."""
    return answer(token_view(call.token))
