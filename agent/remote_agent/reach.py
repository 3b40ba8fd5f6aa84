"""Where the server is, and what to say when it cannot be reached: cause and cure. Pure but for
the log.

The first failure is told loudly, the same one again only from time to time.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import structlog
from websockets.exceptions import InvalidProxy, InvalidProxyStatus, NegotiationError, ProxyError

log = structlog.get_logger("link")

OPEN_TIMEOUT: Final = 20.0
"""Seconds until a connection attempt is given up."""
REPEAT_AFTER: Final = 600.0
"""Seconds until a failure that stays the same is told again."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server is and how to get there."""

    url: str
    """As configured: `https://host[:port][/prefix]`."""
    token: str
    proxy: str | None = None
    """None: whatever HTTPS_PROXY, HTTP_PROXY and NO_PROXY say."""
    ca_file: str | None = None
    """Certificates that are trusted instead of the system's."""
    client_cert: str | None = None
    client_key: str | None = None

    @property
    def session_url(self) -> str:
        """The WebSocket's address."""
        parts = urlsplit(self.url)
        scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
        path = parts.path.rstrip("/") + "/api/v1/agent/session"
        return urlunsplit((scheme, parts.netloc, path, "", ""))

    @property
    def place(self) -> str:
        """Host and port, for sentences; without credentials."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


class Complaint:
    """Tells a failure once, then again only when it changes or has lasted."""

    def __init__(self) -> None:
        self._text = ""
        self._count = 0
        self._since = self._told = 0.0

    def failed(self, text: str) -> None:
        now = time.monotonic()
        if self._count == 0:
            self._since = now
        self._count += 1
        if text != self._text or now - self._told > REPEAT_AFTER:
            log.error(
                "cannot reach the server; running jobs go on, trying again",
                reason=text,
                attempts=self._count,
            )
            self._text, self._told = text, now
        else:
            log.debug("still cannot reach the server", reason=text, attempts=self._count)

    def over(self, place: str) -> None:
        if self._count:
            away = f"{time.monotonic() - self._since:.0f}s"
            log.info("reached the server again", server=place, attempts=self._count, after=away)
        self._text, self._count = "", 0


def explain(error: Exception, endpoint: Endpoint) -> str:
    """A sentence with cause and cure for what can go wrong while connecting."""
    place = endpoint.place
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {place} is not trusted: {error.verify_message}; name its"
            " authority in [server] ca_file"
        )
    if isinstance(error, ssl.SSLError):
        why = getattr(error, "reason", None) or error
        return f"TLS with {place} failed: {why}; is it really https?"
    if isinstance(error, socket.gaierror):
        return f"the name {urlsplit(endpoint.url).hostname} cannot be resolved: {error.strerror}"
    if isinstance(error, TimeoutError):
        return f"{place} did not answer within {OPEN_TIMEOUT:.0f} s"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {place}: is the server running, and [server] url right?"
    if isinstance(error, FileNotFoundError):
        return f"the file {error.filename or 'in ca_file, client_cert or client_key'} is missing"
    if isinstance(error, InvalidProxyStatus):
        status = error.response.status_code
        hint = "; put user:password@ into its URL" if status == 407 else ""
        return f"the proxy refused to connect to {place}: HTTP {status}{hint}"
    if isinstance(error, InvalidProxy):
        # Not the library's own text: it repeats the URL, which may hold a password.
        return "the proxy's URL is not usable; it looks like http://[user:password@]host:port"
    if isinstance(error, ProxyError):
        return f"the proxy did not connect to {place}: {error}"
    if isinstance(error, NegotiationError):
        return f"{place} speaks another protocol: {error}"
    return f"connecting to {place} failed: {str(error) or type(error).__name__}"


def problem_of(body: bytes | bytearray | None) -> tuple[str, str]:
    """`code` and `detail` of problem+json (RFC 9457); empty when it is something else."""
    try:
        problem = json.loads(body or b"")
        return str(problem.get("code", "")), str(problem.get("detail", ""))
    except (ValueError, AttributeError):
        return "", ""
