"""What to say when the server cannot be reached: cause and cure, without any secret.

Reads nothing but what it is given; writes to the log. The first failure is logged at once, the same
one again only from time to time.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

import structlog
from websockets.exceptions import InvalidProxy, InvalidProxyStatus, NegotiationError, ProxyError

from remote_agent.connection.endpoint import OPEN_TIMEOUT, Endpoint, place_of
from remote_protocol.faults import cause_of, certificate_cure, speaks_no_tls

log = structlog.get_logger("link")

REPEAT_AFTER: Final = 600.0
"""Seconds until a failure that stays the same is logged again."""
_PASSWORD_CURE: Final = (
    # Not as a whole URL: the log would take the word for a password, and mask it.
    "put user:password@ into its URL (--proxy, [server] proxy or HTTPS_PROXY)"
)


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
    cause, cure = (
        _of_name(error, endpoint)
        or _of_tls(error, endpoint)
        or _of_proxy(error, endpoint)
        or _of_server(error, endpoint)
    )
    return f"{cause.rstrip('.')}; {cure}"


_Fault = tuple[str, str]


def _of_name(error: BaseException, endpoint: Endpoint) -> _Fault | None:
    if not isinstance(error, socket.gaierror):
        return None
    host = urlsplit(endpoint.via or endpoint.url).hostname
    return f"the name {host} cannot be resolved ({words_of(error)})", "check it, and DNS"


def _of_tls(error: BaseException, endpoint: Endpoint) -> _Fault | None:
    place = endpoint.place
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = f"the certificate of {place} is not trusted: {error.verify_message}"
        option = "--ca-file or [server] ca_file"
        return cause, certificate_cure(cause, option)
    if not isinstance(error, ssl.SSLError):
        return None
    text = str(error).lower()
    if "no_certificate" in text:
        cause = f"the CA file {endpoint.ca_file} holds no certificates in PEM format"
        return cause, "name another one with --ca-file or [server] ca_file"
    cure = (
        "the port speaks no TLS: use http://" if speaks_no_tls(error) else "check the certificates"
    )
    return f"TLS with {place} failed: {cause_of(error)}", cure


def _of_proxy(error: BaseException, endpoint: Endpoint) -> _Fault | None:
    via, text = endpoint.via, str(error).lower()
    refused = isinstance(error, InvalidProxyStatus) and error.response.status_code
    if refused == 407 or "407" in text:
        return "the proxy wants a user and a password (HTTP 407)", _PASSWORD_CURE
    if isinstance(error, InvalidProxy):
        # Not the library's own text: it repeats the URL, which may hold a password.
        cure = "it looks like http://[user:password@]host:port"
        return "the proxy's URL is not usable", cure
    if refused or isinstance(error, ProxyError) or "tunnel connection failed" in text:
        why = f"HTTP {refused}" if refused else words_of(error)
        cause = f"the proxy did not connect to {endpoint.place} ({why})"
        return cause, "check that the proxy may reach it, or set NO_PROXY"
    if isinstance(error, ConnectionRefusedError) and via:
        cause = f"the proxy {place_of(via)} refuses connections"
        cure = (
            "check --proxy, [server] proxy, HTTPS_PROXY and HTTP_PROXY, or name the server's host"
        )
        return cause, f"{cure} in NO_PROXY"
    return None


def _of_server(error: BaseException, endpoint: Endpoint) -> _Fault:
    place = endpoint.place
    if isinstance(error, ConnectionRefusedError):
        cure = "check that the server runs and that host and port are right"
        return f"nothing listens at {place}", cure
    if isinstance(error, TimeoutError):
        cure = (
            "check routes and firewalls; behind a proxy set HTTPS_PROXY, --proxy or [server] proxy"
        )
        return f"{place} did not answer within {OPEN_TIMEOUT:.0f} s", cure
    if isinstance(error, FileNotFoundError):
        name = error.filename or "in ca_file, client_cert or client_key"
        return f"the file {name} is missing", "check the paths in [server]"
    if isinstance(error, NegotiationError):
        return f"{place} speaks another protocol ({words_of(error)})", "check [server] url"
    if isinstance(error, http.client.HTTPException | ConnectionError):
        plain = endpoint.url.startswith("http:")
        cure = "if the port speaks TLS, use https://" if plain else "check host and port"
        return f"no HTTP answer from {place} ({words_of(error)})", cure
    return f"connecting to {place} failed ({words_of(error)})", "check the URL"


def words_of(error: BaseException) -> str:
    """What an error says, or else what it is."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def problem_of(body: bytes | bytearray | None) -> tuple[str, str]:
    """`code` and `detail` of problem+json (RFC 9457); empty when it is something else."""
    try:
        problem = json.loads(body or b"")
        return str(problem.get("code", "")), str(problem.get("detail", ""))
    except (ValueError, AttributeError):
        return "", ""
