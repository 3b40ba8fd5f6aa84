"""Signing in and out."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web
from pydantic import Field

from remote_server.web.access import PUBLIC, QUEUE_VIEWER
from remote_server.web.http.headers import came_by_tls
from remote_server.web.http.problems import ApiProblem, forbidden
from remote_server.web.pages.rendering import PageShown, go, render
from remote_server.web.pages.words import sentence
from remote_server.web.refusals import audited
from remote_server.web.route import Call, PageForm, Route
from remote_server.web.sessions import COOKIE

SIGNED_OUT: Final = "signed-out"


class SignInQuery(PageShown):
    """The query of the sign-in."""

    next: str = Field(default="", max_length=1024)


class SignIn(PageForm):
    """The form of the sign-in."""

    token: str = Field(default="", max_length=200)
    next: str = Field(default="", max_length=1024)


@Route("GET", "/login", PUBLIC, page=True, query=SignInQuery)
async def form(call: Call) -> web.StreamResponse:
    """The form that takes an API token."""
    query = call.query(SignInQuery)
    return sign_in_page(call, 200, query.next, fresh=query.done == SIGNED_OUT)


def sign_in_page(
    call: Call,
    status: int,
    following: str,
    fault: str | None = None,
    *,
    refused: str | None = None,
    fresh: bool = False,
) -> web.Response:
    """The page of the sign-in. `fault`: what is wrong with the token; `refused`: why the provider's
    answer does not do; `fresh`: the provider is to ask who it is."""
    provider = call.services.provider_sign_in
    asked = {"next": following} if following else {}
    query = urlencode(asked | {"fresh": "yes"} if fresh or refused else asked)
    return render(
        call,
        "login.html",
        status=status,
        next=following,
        fault=fault,
        provider=None if provider is None else provider.title,
        provider_query=f"?{query}" if query else "",
        refused=refused,
    )


@Route("POST", "/login", PUBLIC, page=True, body=SignIn, action="session.sign_in")
async def sign_in(call: Call) -> web.StreamResponse:
    """Sign in with an API token."""
    _require_own_form(call.request)
    given = call.form(SignIn)
    try:
        bearer, address = f"Bearer {given.token.strip()}", call.request.remote or ""
        token = await call.services.authenticator.admit(bearer, QUEUE_VIEWER, address)
    except ApiProblem as problem:
        call.refused = problem
        fault = "Type an API token." if not given.token.strip() else sentence(problem.detail)
        answer = sign_in_page(call, problem.status, given.next, fault)
        answer.headers.update(problem.headers)
        return answer
    call.caller = token
    address = call.request.remote or ""
    secret = await call.services.sessions.begin(token, address, audited(call))
    answer = go(call, given.next if is_ours(given.next) else "")
    # Without a path it holds for all pages, wherever a proxy puts them (RFC 6265 §5.1.4).
    answer.headers.add("Set-Cookie", cookie(call.request, COOKIE, secret, None))
    return answer


@Route("POST", "/logout", QUEUE_VIEWER, page=True, action="session.sign_out")
async def sign_out(call: Call) -> web.StreamResponse:
    """Sign out."""
    if call.signed_in is not None:
        address = call.request.remote or ""
        await call.services.sessions.end(call.signed_in, address, audited(call))
    answer = go(call, "login", done=SIGNED_OUT)
    answer.headers.add("Set-Cookie", cookie(call.request, COOKIE, "", 0))
    return answer


def is_ours(path: str) -> bool:
    """Whether an address to come back to is one of our pages, relative to their root."""
    try:
        parts = urlsplit(path)
    except ValueError:
        return False
    return (
        path.isascii()
        and path.isprintable()
        and not (parts.scheme or parts.netloc)
        and not path.startswith(("/", "\\"))
        and ".." not in parts.path
    )


def _require_own_form(request: web.Request) -> None:
    """ApiProblem when another site sent the form: it would sign its visitors in as somebody else.

    Browsers say which site it was (Fetch Metadata, W3C), but not over plain HTTP; there the origin
    tells (RFC 6454 §7), which they send with every form. What says neither is no browser.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or origin.partition("://")[2].lower() == request.host.lower()
    if not ours:
        raise forbidden("another site sent this form: open the page of the sign-in itself")


def cookie(request: web.Request, name: str, value: str, age: int | None) -> str:
    """The header that sets a cookie for `age` seconds; None: until the browser ends."""
    kept = "" if age is None else f"; Max-Age={age}"
    secure = "; Secure" if came_by_tls(request) else ""
    return f"{name}={value}{kept}; HttpOnly; SameSite=Lax{secure}"
