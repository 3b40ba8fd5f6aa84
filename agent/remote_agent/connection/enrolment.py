"""Enrolment: `register` and `unregister` over plain HTTP, standard library only.

May touch the network. What the server answers is turned into one sentence with cause and cure; the
token never appears in any.
"""

from __future__ import annotations

import http.client
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from pydantic import ValidationError

from remote_agent.connection.endpoint import (
    OPEN_TIMEOUT,
    Endpoint,
    proxy_for,
    tls_of,
)
from remote_agent.connection.faults import explain
from remote_agent.errors import (
    AgentError,
    ConfigError,
    ServerRefused,
    TokenRefused,
    Unreachable,
)
from remote_protocol.api.problems import Problem
from remote_protocol.api.registration import Registered, Registration
from remote_protocol.api.server import VersionView
from remote_protocol.errors import ErrorCode
from remote_protocol.faults import cause_of
from remote_protocol.ids import TokenKind, kind_of
from remote_protocol.urls import proxy_authorization

NEED_SERVER: Final = "the server (--server URL, REMOTE_AGENT_SERVER or [server] url)"
NEED_TOKEN: Final = (
    "a token (--token-file FILE, REMOTE_AGENT_TOKEN_FILE or REMOTE_AGENT_TOKEN; an admin makes "
    "one: remotectl registration-token create)"
)
_LARGEST: Final = 1024 * 1024
_AWAY: Final = (502, 503, 504)
"""What a proxy answers for a server that it cannot reach."""
_VERSION: Final = "/api/v1/version"
_TOKEN: Final = re.compile(r"[a-z]{3}_[A-Za-z0-9_-]+")
_CURES: Final = {
    ErrorCode.EXPIRED_TOKEN: "make a new one: remotectl registration-token create",
    ErrorCode.USED_TOKEN: "make a new one: remotectl registration-token create",
    ErrorCode.INVALID_TOKEN: "check that it was copied whole and belongs to this server",
    ErrorCode.NAME_TAKEN: "choose another --name, or take the name over with --replace",
    ErrorCode.UNKNOWN_QUEUE: "choose another --queue, or make it: remotectl queue create NAME",
}
_TOKEN_CODES: Final = frozenset(
    {
        ErrorCode.EXPIRED_TOKEN,
        ErrorCode.USED_TOKEN,
        ErrorCode.INVALID_TOKEN,
        ErrorCode.WRONG_TOKEN_KIND,
        ErrorCode.MISSING_TOKEN,
    }
)
_SETTINGS_CODES: Final = frozenset(
    # Forbidden: the token is a good one, but not for the queues that were asked for.
    {ErrorCode.NAME_TAKEN, ErrorCode.UNKNOWN_QUEUE, ErrorCode.VALIDATION, ErrorCode.FORBIDDEN}
)


def check_token(token: str) -> str:
    """A registration or agent token. ConfigError when it can be neither."""
    token = token.strip()
    kind = kind_of(token)
    wanted = "a registration token (rrt_…) or an agent token (rat_…)"
    if kind in (TokenKind.REGISTRATION, TokenKind.AGENT) and _TOKEN.fullmatch(token):
        return token
    if kind in (TokenKind.API, TokenKind.JOB):
        article = "an" if kind is TokenKind.API else "a"
        raise ConfigError(
            f"this is {article} {kind.words} ({kind.value}…); register needs {wanted}"
        )
    raise ConfigError(f"this is no token of ours; register needs {wanted}, copied whole")


def find_server(server: Endpoint) -> VersionView:
    """What answers at the URL. ConfigError says exactly what is wrong when it is not our server."""
    status, body = _call(server, "GET", _VERSION, None, None)
    version = _version(status, body)
    if version is not None:
        return version
    if status in _AWAY:
        raise Unreachable(
            f"{server.url} answers HTTP {status}: the server is not reachable from there"
        )
    parts = urlsplit(server.url)
    hint = "check host and port, and that no proxy answers in its place"
    if parts.path:
        root = f"{parts.scheme}://{parts.netloc}"
        if _version(*_call(replace(server, url=root), "GET", _VERSION, None, None)) is not None:
            hint = f"leave the path {parts.path} out: the server is at {root}"
        else:
            hint = f"check host, port and the path {parts.path}"
    raise ConfigError(
        f"something answers at {server.url} (HTTP {status}), but it is no remote-server; {hint}"
    )


def _version(status: int, body: bytes) -> VersionView | None:
    try:
        return VersionView.model_validate_json(body) if status == 200 else None
    except ValidationError:
        return None


def register(server: Endpoint, token: str, registration: Registration) -> Registered:
    """Enrol at the server. TokenRefused or ServerRefused with a sentence when it refuses."""
    find_server(server)
    body = registration.model_dump_json(exclude_none=True).encode()
    status, answer = _call(server, "POST", "/api/v1/agent/register", token, body)
    if status in (200, 201):
        try:
            return Registered.model_validate_json(answer)
        except ValidationError:
            raise AgentError(
                f"{server.url} gave an answer that this version does not know"
            ) from None
    raise _refusal(server, status, answer)


def unregister(server: Endpoint, token: str) -> None:
    """Delete this agent on the server. An agent that is unknown there already is no error."""
    status, answer = _call(server, "DELETE", "/api/v1/agent/registration", token, None)
    if status in (200, 204):
        return
    refusal = _refusal(server, status, answer)
    gone = isinstance(refusal, ServerRefused) and refusal.code == ErrorCode.NOT_FOUND
    if not gone and not isinstance(refusal, TokenRefused):
        raise refusal


def _refusal(server: Endpoint, status: int, answer: bytes) -> AgentError:
    try:
        problem = Problem.model_validate_json(answer)
    except ValidationError:
        return AgentError(f"{server.url} answered {status} without saying why; check the URL")
    sentence = problem.detail or problem.title
    faults = "".join(f"\n  {f.get('field', '')}: {f.get('message', '')}" for f in problem.errors)
    cure = next((cure for code, cure in _CURES.items() if code == problem.code), "")
    # Our server names the cure itself, after a semicolon; an older one may not.
    text = sentence + (f"; {cure}" if cure and ";" not in sentence else "") + faults
    if problem.code in _TOKEN_CODES:
        return TokenRefused(text)
    return ServerRefused(problem.code, text, 2 if problem.code in _SETTINGS_CODES else 1)


def _call(
    server: Endpoint, method: str, path: str, token: str | None, body: bytes | None
) -> tuple[int, bytes]:
    request = urllib.request.Request(server.url + path, data=body, method=method)
    request.add_header("User-Agent", "remote-agent")
    if token is not None:
        # Not sent on to where a redirect points.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with _opener(server).open(request, timeout=OPEN_TIMEOUT) as response:
            return response.status, response.read(_LARGEST)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 407:
                raise Unreachable(_unreachable(server, error)) from None
            if error.code in (301, 302, 303, 307, 308):
                raise ConfigError(
                    _redirected(server, path, error.headers.get("Location"))
                ) from None
            return error.code, error.read(_LARGEST)
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "reason", None)
        known = cause if isinstance(cause, BaseException) else error
        raise Unreachable(_unreachable(server, known)) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, and a token could reach another host."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def _via(server: Endpoint) -> str | None:
    """The proxy to go through: one that was named is for every host, NO_PROXY belongs to the
    environment's. ConfigError when it is of a kind that we do not speak."""
    proxy = server.proxy or proxy_for(server.url)
    kind = urlsplit(proxy).scheme if proxy else "http"
    if kind != "http":
        raise ConfigError(
            f"the environment names a proxy of the kind {kind}:// for {server.url}; only http:// "
            "is supported: name another with --proxy, or the host in NO_PROXY"
        )
    return proxy


class _OneProxy(urllib.request.ProxyHandler):
    """Uses its proxy for whatever is opened."""

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> Any:
        parts = urlsplit(proxy)
        authorization = proxy_authorization(proxy)
        if authorization is not None:
            req.add_header("Proxy-authorization", authorization)
        req.set_proxy(parts.netloc.rpartition("@")[2], parts.scheme)


def _opener(server: Endpoint) -> urllib.request.OpenerDirector:
    try:
        tls = tls_of(replace(server, client_cert=None))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the CA file {server.ca_file} cannot be used: {cause_of(error)}; it holds"
            " certificates in PEM format"
        ) from None
    try:
        if server.client_cert:
            tls.load_cert_chain(server.client_cert, server.client_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the client certificate {server.client_cert} cannot be used: {cause_of(error)}; it"
            " holds a certificate and its key in PEM format, or the key is in client_key"
        ) from None
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=tls),
        _NoRedirect(),
    ]
    via = _via(server)
    # Without one, an empty table: what the environment says has been asked already.
    handlers.append(_OneProxy({"http": via, "https": via} if via else {}))
    return urllib.request.build_opener(*handlers)


def _redirected(server: Endpoint, path: str, location: str | None) -> str:
    if not location:
        return f"{server.url} redirects to nowhere; check the URL"
    target = urljoin(server.url + path, location)
    better = target.removesuffix(path)
    cure = f"use {better}" if better != target else "check the URL"
    return f"{server.url} redirects to {target}; {cure}"


def _unreachable(server: Endpoint, error: BaseException) -> str:
    """Why nothing came back from the server, and what helps. Holds no secret."""
    return f"cannot reach {server.url}: {explain(error, server)}"
