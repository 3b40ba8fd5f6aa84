"""Signing in by an OpenID provider: the way there, and the way back."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import ConfigDict, Field

from remote_protocol.errors import ErrorCode
from remote_server.oidc import Begun, ProviderFault
from remote_server.oidc.flow import LASTS
from remote_server.web.access import PUBLIC
from remote_server.web.http.problems import ApiProblem, not_found
from remote_server.web.pages.rendering import HEADERS, PageShown, go
from remote_server.web.pages.sign_in import cookie, is_ours, sign_in_page
from remote_server.web.pages.words import sentence
from remote_server.web.provider_sign_in import COOKIE, ProviderSignIn
from remote_server.web.refusals import audited
from remote_server.web.route import Call, Query, Route
from remote_server.web.sessions import COOKIE as SESSION

_FOUND: Final = 303
_LATER: Final = "An administrator finds this in the server's log, too."


class BeginQuery(PageShown):
    """The query of the way to the provider."""

    next: str = Field(default="", max_length=512)
    fresh: str = Field(default="", max_length=8)


class Callback(Query):
    """What the provider sends back with the browser; what else it adds is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    state: str = Field(default="", max_length=256)
    code: str = Field(default="", max_length=4096)
    iss: str = Field(default="", max_length=512)
    error: str = Field(default="", max_length=256)


@Route("GET", "/oidc-login", PUBLIC, page=True, query=BeginQuery)
async def begin(call: Call) -> web.StreamResponse:
    """Go to the provider."""
    query = call.query(BeginQuery)
    following = query.next if is_ours(query.next) else ""
    try:
        where, begun = await _provider(call).begin(following, fresh=bool(query.fresh))
    except ProviderFault as fault:
        return _failed(call, following, fault)
    headers = {"Location": where, **HEADERS, "Referrer-Policy": "no-referrer"}
    answer = web.Response(status=_FOUND, headers=headers)
    answer.headers.add("Set-Cookie", cookie(call.request, COOKIE, begun.cookie, LASTS))
    return answer


@Route("GET", "/oidc-callback", PUBLIC, page=True, query=Callback, action="session.sign_in")
async def come_back(call: Call) -> web.StreamResponse:
    """Come back from the provider, signed in."""
    query, address = call.query(Callback), call.request.remote or ""
    begun = Begun.from_cookie(call.request.cookies.get(COOKIE))
    following = begun.following if begun is not None and is_ours(begun.following) else ""
    try:
        if query.error or not query.code:
            raise _denied(query.error)
        call.caller = await _provider(call).finish(
            begun, query.state, query.code, query.iss, address
        )
    except ProviderFault as fault:
        return _over(call, _failed(call, following, fault))
    except ApiProblem as problem:
        call.refused = problem
        answer = sign_in_page(call, problem.status, following, refused=sentence(problem.detail))
        answer.headers.update(problem.headers)
        return _over(call, answer)
    secret = await call.services.sessions.begin(call.token, address, audited(call))
    answer = go(call, following)
    answer.headers.add("Set-Cookie", cookie(call.request, SESSION, secret, None))
    return _over(call, answer)


def _provider(call: Call) -> ProviderSignIn:
    provider = call.services.provider_sign_in
    if provider is None:
        raise not_found("sign-in by a provider here; configure one by [oidc]:", "oidc")
    return provider


def _denied(error: str) -> ApiProblem:
    """The provider's refusal (RFC 6749 §4.1.2.1)."""
    if error == "access_denied":
        detail = "the provider did not let you in, or you broke the sign-in off; try again"
    else:
        known = error.isascii() and error.replace("_", "").isalnum()
        said = repr(error) if known else "no code"
        detail = f"the provider answered the sign-in with {said}; try again"
    return ApiProblem(ErrorCode.FORBIDDEN, detail)


def _failed(call: Call, following: str, fault: ProviderFault) -> web.Response:
    _provider(call).failed(fault, call.request.remote or "")
    said = f"{sentence(str(fault))} {_LATER}"
    return sign_in_page(call, 503, following, refused=said)


def _over(call: Call, answer: web.Response) -> web.Response:
    """The sign-in under way is over: its cookie goes."""
    answer.headers.add("Set-Cookie", cookie(call.request, COOKIE, "", 0))
    return answer
