"""API tokens, tokens of single agents, and registration tokens: create, list, revoke."""

from __future__ import annotations

from aiohttp import web

from remote_protocol.api.bodies import Page
from remote_protocol.api.tokens import RegistrationTokenCreate, TokenCreate, TokenCreated, TokenView
from remote_protocol.errors import ErrorCode
from remote_server.domain.model import Token
from remote_server.queries.views import token_values, token_view
from remote_server.web.access import ADMIN, QUEUE_VIEWER
from remote_server.web.actions.tokens import (
    REGISTRATION,
    create_registration_token,
    create_token,
    revoke_token,
)
from remote_server.web.http.paging import page
from remote_server.web.route import Call, PageQuery, Route, answer, no_content


@Route(
    "POST",
    "/api/v1/tokens",
    ADMIN,
    body=TokenCreate,
    answer=TokenCreated,
    status=201,
    action="token.create",
    refuses=(ErrorCode.CONFLICT, ErrorCode.UNKNOWN_QUEUE),
    example={"name": "ci", "role": "operator", "expires": "90d"},
)
async def create(call: Call) -> web.StreamResponse:
    """Create an API token, or the token of one agent.

    For a person or a program, or with `agent` for one agent to come.
    """
    return _made(call, await create_token(call, await call.read(TokenCreate)))


@Route(
    "POST",
    "/api/v1/registration-tokens",
    ADMIN,
    body=RegistrationTokenCreate,
    body_optional=True,
    answer=TokenCreated,
    status=201,
    action="registration_token.create",
    refuses=(ErrorCode.CONFLICT, ErrorCode.UNKNOWN_QUEUE),
    example={"queues": ["default"], "uses": 10, "expires": "1h"},
)
async def create_registration(call: Call) -> web.StreamResponse:
    """Create a registration token."""
    return _made(
        call, await create_registration_token(call, await call.read(RegistrationTokenCreate))
    )


def _made(call: Call, made: tuple[Token, str]) -> web.StreamResponse:
    token, text = made
    return answer(
        TokenCreated.model_validate({**token_values(token, call.token), "token": text}), 201
    )


@Route("GET", "/api/v1/tokens", ADMIN, query=PageQuery, answer=Page[TokenView])
async def list_tokens(call: Call) -> web.StreamResponse:
    """List API tokens and agent tokens."""
    store = call.services.store
    return _list(call, [*await store.tokens("api"), *await store.tokens("agent")])


@Route("GET", "/api/v1/registration-tokens", ADMIN, query=PageQuery, answer=Page[TokenView])
async def list_registration(call: Call) -> web.StreamResponse:
    """List registration tokens."""
    return _list(call, await call.services.store.tokens(REGISTRATION))


def _list(call: Call, tokens: list[Token]) -> web.StreamResponse:
    query = call.query(PageQuery)
    chosen, following = page(tokens, lambda token: token.id, query.limit, query.cursor)
    views = [token_view(token, call.token) for token in chosen]
    return answer(Page[TokenView].model_construct(items=views, next_cursor=following))


@Route(
    "DELETE",
    "/api/v1/tokens/{id}",
    ADMIN,
    status=204,
    action="token.revoke",
    operation="revoke_token",
    refuses=(ErrorCode.CONFLICT,),
)
async def revoke(call: Call) -> web.StreamResponse:
    """Revoke a token.

    Refused from the next request on; an agent's link is closed.
    """
    await revoke_token(call, call.path("id"), registration=False)
    return no_content()


@Route(
    "DELETE",
    "/api/v1/registration-tokens/{id}",
    ADMIN,
    status=204,
    action="registration_token.revoke",
    operation="revoke_registration_token",
)
async def revoke_registration(call: Call) -> web.StreamResponse:
    """Revoke a registration token.

    Agents that enrolled with it stay.
    """
    await revoke_token(call, call.path("id"), registration=True)
    return no_content()


@Route("GET", "/api/v1/whoami", QUEUE_VIEWER, answer=TokenView)
async def whoami(call: Call) -> web.StreamResponse:
    """Show the caller's own token."""
    return answer(token_view(call.token, call.token))
