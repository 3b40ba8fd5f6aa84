"""What to say when the server cannot be reached: cause and cure, without any secret.

Reads nothing but what it is given; writes to the log. The first failure is logged at once, the same
one again only from time to time.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
import time
from typing import Final

import structlog
from websockets.exceptions import InvalidProxy, InvalidProxyStatus, NegotiationError, ProxyError

from remote_agent.connection.endpoint import OPEN_TIMEOUT, Endpoint
from remote_protocol import faults
from remote_protocol.faults import Fault, Route, cause_of, proxy_refusal, unanswered
from remote_protocol.urls import Proxy

log = structlog.get_logger("link")

REPEAT_AFTER: Final = 600.0
"""Seconds until a failure that stays the same is logged again."""
_LONGEST: Final = 2000
"""Characters of what a server says about one fault."""
_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})")
"""What urllib says of a proxy that refuses (`http.client`)."""
_PROXY_SETTINGS: Final = "--proxy, [server] proxy, HTTPS_PROXY or HTTP_PROXY"


class FailureLog:
    """Logs a failure once, then again only when it changes or has lasted."""

    def __init__(self) -> None:
        self._text = ""
        self._count = 0
        self._since = self._logged_at = 0.0

    @property
    def reason(self) -> str:
        """Why the server cannot be reached; empty while it can."""
        return self._text

    def failed(self, text: str) -> None:
        """The server could not be reached, for the reason in this sentence."""
        now = time.monotonic()
        if self._count == 0:
            self._since = now
        self._count += 1
        if text != self._text or now - self._logged_at > REPEAT_AFTER:
            log.error(
                "cannot reach the server; running jobs go on, trying again",
                reason=text,
                attempts=self._count,
            )
            self._text, self._logged_at = text, now
        else:
            log.debug("still cannot reach the server", reason=text, attempts=self._count)

    def over(self, place: str) -> None:
        """The server was reached."""
        if self._count:
            away = f"{time.monotonic() - self._since:.0f}s"
            log.info("reached the server again", server=place, attempts=self._count, after=away)
        self._text, self._count = "", 0


def explain(error: BaseException, endpoint: Endpoint) -> str:
    """A sentence with cause and cure for what can go wrong while connecting."""
    via = endpoint.via
    proxy = None if via is None else Proxy(via, _PROXY_SETTINGS)
    route = Route(endpoint.url, proxy, "--ca-file or [server] ca_file", OPEN_TIMEOUT)
    cause, cure = (
        _of_files(error, endpoint)
        or _of_proxy(error, route)
        or _of_answer(error, route)
        or faults.explain(error, route)
    )
    return f"{cause.rstrip('.')}; {cure}"


def _of_files(error: BaseException, endpoint: Endpoint) -> Fault | None:
    if isinstance(error, ssl.SSLError) and "no_certificate" in str(error).lower():
        cause = f"the CA file {endpoint.ca_file} holds no certificates in PEM format"
        return Fault(cause, "name another one with --ca-file or [server] ca_file")
    if isinstance(error, FileNotFoundError):
        name = error.filename or "in ca_file, client_cert or client_key"
        return Fault(f"the file {name} is missing", "check the paths in [server]")
    return None


def _of_proxy(error: BaseException, route: Route) -> Fault | None:
    if isinstance(error, InvalidProxy):
        # Not the library's own text: it repeats the URL, which may hold a password.
        cure = "it looks like http://[user:password@]host:port"
        return Fault("the proxy's URL is not usable", cure)
    tunnel = _TUNNEL.search(str(error))
    if isinstance(error, InvalidProxyStatus):
        status = error.response.status_code
        return proxy_refusal(route, status, f"HTTP {status}")
    if _is_one(error, "urllib.error", "HTTPError") or tunnel:
        status = int(tunnel[1]) if tunnel else 407
        return proxy_refusal(route, status, cause_of(error))
    if isinstance(error, ProxyError):
        return proxy_refusal(route, 0, cause_of(error))
    return None


def _of_answer(error: BaseException, route: Route) -> Fault | None:
    if isinstance(error, NegotiationError):
        cause = f"{route.place} speaks another protocol ({cause_of(error)})"
        return Fault(cause, "check [server] url")
    if isinstance(error, ConnectionRefusedError):
        return None
    if isinstance(error, ConnectionError) or _is_one(error, "http.client", "HTTPException"):
        return unanswered(cause_of(error), route, closed=True)
    return None


def _is_one(error: BaseException, module: str, name: str) -> bool:
    """Whether it is an error of this class, without loading the module: who raised it has."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(error, getattr(loaded, name))


def problem_of(body: bytes | bytearray | None) -> tuple[str, str]:
    """`code` and `detail` of problem+json (RFC 9457), the beginnings of long ones; empty when it is
    something else."""
    try:
        problem = json.loads(body or b"")
        return str(problem.get("code", ""))[:_LONGEST], str(problem.get("detail", ""))[:_LONGEST]
    except (ValueError, AttributeError, RecursionError):
        return "", ""
