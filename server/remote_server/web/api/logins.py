"""Logins of programs: begin one, and ask what became of it; and the end of a token by its owner."""

from __future__ import annotations

from aiohttp import web

from remote_protocol.api.logins import LoginAnswer, LoginAsk, LoginBegin, LoginBegun
from remote_protocol.api.tokens import TokenCreated
from remote_protocol.errors import ErrorCode
from remote_server.queries.views import token_values
from remote_server.web.access import PUBLIC, VIEWER
from remote_server.web.http.problems import ApiProblem
from remote_server.web.program_logins import INTERVAL, LASTS, shown
from remote_server.web.route import Call, Route, answer, no_content


@Route(
    "POST",
    "/api/v1/logins",
    PUBLIC,
    body=LoginBegin,
    answer=LoginBegun,
    status=201,
    action="login.begin",
)
async def begin(call: Call) -> web.StreamResponse:
    """Begin a login that a person confirms.

    The person opens `page`, signed in, and compares the code. Ask `POST /logins/token` meanwhile.
    """
    wanted = await call.read(LoginBegin)
    secret, code = await call.services.program_logins.begin(
        wanted.name, call.request.remote or "", wanted.role
    )
    begun = LoginBegun(
        secret=secret,
        code=shown(code),
        page=f"confirm?code={shown(code)}",
        expires_in=LASTS,
        interval=INTERVAL,
    )
    return answer(begun, 201)


@Route(
    "POST",
    "/api/v1/logins/token",
    PUBLIC,
    body=LoginAsk,
    answer=LoginAnswer,
    action="token.create",
    refuses=(ErrorCode.NOT_FOUND, ErrorCode.TOO_MANY_REQUESTS),
)
async def take(call: Call) -> web.StreamResponse:
    """Ask what became of a login; a confirmed one gives its token, once.

    Who asks more often than `interval` is told to ask more slowly.
    """
    asked = await call.read(LoginAsk)
    state, token, text = await call.services.program_logins.take(
        asked.secret, call.request.remote or ""
    )
    made = None
    if token is not None:
        made = TokenCreated.model_validate({**token_values(token, None), "token": text})
    return answer(LoginAnswer.model_validate({"state": state, "token": made}))


@Route(
    "DELETE",
    "/api/v1/whoami",
    VIEWER,
    status=204,
    action="token.revoke",
    refuses=(ErrorCode.CONFLICT,),
)
async def log_out(call: Call) -> web.StreamResponse:
    """Revoke the caller's own token, if it came from a login.

    One that an admin made stays: only an admin revokes it.
    """
    if call.token.owner is None:
        raise ApiProblem(
            ErrorCode.CONFLICT,
            "this token did not come from a login in the browser; an admin revokes it "
            "(remotectl token revoke)",
        )
    await call.services.store.revoke(call.token.id, by=call.principal)
    return no_content()
