"""Enrolment: `register` and `unregister` over plain HTTP, standard library only.

May touch the network. What the server answers is turned into one sentence with cause and cure; the
token never appears in any.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from remote_agent.errors import AgentError, ConfigError, ServerRefused, TokenRefused
from remote_protocol.api import Problem, Registered, Registration, VersionView
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import TokenKind, kind_of

_TIMEOUT: Final = 20.0
_LARGEST: Final = 1024 * 1024
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


@dataclass(frozen=True, slots=True)
class Door:
    """A server's HTTP side: base URL, proxy (None: as the environment says) and private CA."""

    url: str
    proxy: str | None = None
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None


def check_url(url: str) -> str:
    """The URL without a trailing slash. ConfigError names exactly what is wrong with it (R43)."""
    text = url.strip()
    parts = urllib.parse.urlsplit(text)
    if "://" not in text or not parts.scheme:
        raise ConfigError(f"{url!r} has no scheme; did you mean https://{text} (or http://…)?")
    if parts.scheme in ("ws", "wss"):
        right = text.replace("ws", "http", 1)
        raise ConfigError(f"{url!r}: give the server's HTTP address, {right}")
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"{url!r} has the scheme {parts.scheme!r}; it must be http or https")
    try:
        if not parts.hostname or parts.port == 0:
            raise ValueError
    except ValueError:
        raise ConfigError(f"{url!r} does not name a host and a port from 1 to 65535") from None
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"{url!r} must be only scheme, host, port and path prefix")
    path = parts.path.rstrip("/")
    if path.endswith("/api/v1"):
        raise ConfigError(f"{url!r} includes the path of the API; leave /api/v1 out")
    return f"{parts.scheme}://{parts.netloc}{path}"


def check_token(token: str) -> str:
    """A registration or agent token. ConfigError when it can be neither."""
    token = token.strip()
    kind = kind_of(token)
    if kind in (TokenKind.REGISTRATION, TokenKind.AGENT):
        return token
    wanted = "a registration token (rrt_…) or an agent token (rat_…)"
    if kind is not None:
        raise ConfigError(f"this is an {kind.words} ({kind.value}…); register needs {wanted}")
    raise ConfigError(f"this is no token of ours; register needs {wanted}, copied whole")


def find_server(door: Door) -> VersionView:
    """What answers at the URL. AgentError says exactly what is wrong when it is not our server."""
    status, body = _call(door, "GET", "/api/v1/version", None, None)
    try:
        if status == 200:
            return VersionView.model_validate_json(body)
    except ValidationError:
        pass
    raise AgentError(
        f"something answers at {door.url} ({status}), but it is no remote-server; check host, port "
        "and path prefix, and that no proxy answers in its place"
    )


def register(door: Door, token: str, registration: Registration) -> Registered:
    """Enrol at the server. TokenRefused or ServerRefused with a sentence when it refuses."""
    find_server(door)
    body = registration.model_dump_json(exclude_none=True).encode()
    status, answer = _call(door, "POST", "/api/v1/agent/register", token, body)
    if status in (200, 201):
        try:
            return Registered.model_validate_json(answer)
        except ValidationError:
            raise AgentError(f"{door.url} gave an answer that this version does not know") from None
    raise _refusal(door, status, answer)


def unregister(door: Door, token: str) -> None:
    """Delete this agent on the server. An agent that is unknown there already is no error."""
    status, answer = _call(door, "DELETE", "/api/v1/agent/registration", token, None)
    if status in (200, 204):
        return
    refusal = _refusal(door, status, answer)
    if isinstance(refusal, TokenRefused):
        return
    raise refusal


def _refusal(door: Door, status: int, answer: bytes) -> AgentError:
    try:
        problem = Problem.model_validate_json(answer)
    except ValidationError:
        return AgentError(f"{door.url} answered {status} without saying why; check the URL")
    sentence = problem.detail or problem.title
    faults = "".join(f"\n  {f.get('field', '')}: {f.get('message', '')}" for f in problem.errors)
    cure = next((cure for code, cure in _CURES.items() if code == problem.code), "")
    text = f"{sentence}{faults}" + (f"; {cure}" if cure and cure not in sentence else "")
    if problem.code in _TOKEN_CODES:
        return TokenRefused(text)
    return ServerRefused(problem.code, text)


def _call(
    door: Door, method: str, path: str, token: str | None, body: bytes | None
) -> tuple[int, bytes]:
    request = urllib.request.Request(door.url + path, data=body, method=method)
    request.add_header("User-Agent", "remote-agent")
    if token is not None:
        # Not sent on to where a redirect points.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with _opener(door).open(request, timeout=_TIMEOUT) as response:
            return response.status, response.read(_LARGEST)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 407:
                raise AgentError(_explain(door, "407 from the proxy")) from None
            return error.code, error.read(_LARGEST)
    except (OSError, ValueError) as error:
        reason: Any = getattr(error, "reason", None) or error
        raise AgentError(_explain(door, str(reason) or type(reason).__name__)) from None


def _opener(door: Door) -> urllib.request.OpenerDirector:
    try:
        tls = ssl.create_default_context(cafile=door.ca_file)
        if door.client_cert:
            tls.load_cert_chain(door.client_cert, door.client_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificates cannot be used: {error}") from None
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=tls)]
    if door.proxy:
        handlers.append(urllib.request.ProxyHandler({"http": door.proxy, "https": door.proxy}))
    return urllib.request.build_opener(*handlers)


def _explain(door: Door, cause: str) -> str:
    text = cause.lower()
    if "407" in text:
        cure = "the proxy wants a user and a password: --proxy http://user:password@host:port"
    elif "certificate" in text:
        cure = "for a private CA give --ca-file"
    elif "wrong version number" in text or "record layer" in text:
        cure = "the port does not speak TLS: try http:// instead of https://"
    elif "not known" in text or "name resolution" in text:
        cure = "check the host name"
    elif "refused" in text:
        cure = "check that the server runs and that host and port are right"
    elif "timed out" in text:
        cure = "check routes and firewalls; behind a proxy set HTTPS_PROXY or --proxy"
    else:
        cure = "check the URL"
    return f"cannot reach {door.url}: {cause}; {cure}"


