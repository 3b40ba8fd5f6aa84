"""Where the server is, through which proxy, and what to say when it cannot be reached: cause and
cure. Reads the environment's proxy settings, writes to the log.

The first failure is told loudly, the same one again only from time to time.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import structlog
from websockets.exceptions import InvalidProxy, InvalidProxyStatus, NegotiationError, ProxyError

from remote_agent import backoff

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
    token: str = field(default="", repr=False)
    """Empty before the agent is registered."""
    proxy: str | None = field(default=None, repr=False)
    """None: whatever HTTPS_PROXY, HTTP_PROXY and NO_PROXY say."""
    ca_file: str | None = None
    """Certificates that are trusted instead of the system's."""
    client_cert: str | None = None
    client_key: str | None = None
    max_wait: float = backoff.LONGEST
    """Seconds between two tries to connect, at the most."""

    @property
    def session_url(self) -> str:
        """The WebSocket's address."""
        parts = urlsplit(self.url)
        scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
        path = parts.path.rstrip("/") + "/api/v1/agent/session"
        return urlunsplit((scheme, parts.netloc, path, "", ""))

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def via(self) -> str | None:
        """The proxy to go through; None: directly."""
        return self.proxy or proxy_for(self.url)

    @property
    def place(self) -> str:
        """Host and port, for sentences; without credentials."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def proxy_for(url: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name for this URL.

    Enrolment and link both ask here: websockets and urllib read the variables differently.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def proxy_authorization(proxy: str) -> str | None:
    """What a proxy whose URL holds a user is told (RFC 7617); None when it holds none."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(user.encode()).decode()}"


def place_of(url: str) -> str:
    """Host and port of a proxy, for sentences; without credentials."""
    return urlsplit(url).netloc.rpartition("@")[2]


class FailureLog:
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
    place, via = endpoint.place, endpoint.via
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {place} is not trusted: {error.verify_message};"
            f" {certificate_cure(error)}"
        )
    if isinstance(error, ssl.SSLError) and "NO_CERTIFICATE" in str(error):
        return f"the CA file {endpoint.ca_file} holds no certificates in PEM format"
    if isinstance(error, ssl.SSLError):
        return f"TLS with {place} failed: {tls_words(error)}; is it really https?"
    if isinstance(error, socket.gaierror):
        host = urlsplit(via or endpoint.url).hostname
        return f"the name {host} cannot be resolved: {error.strerror}"
    if isinstance(error, TimeoutError):
        return f"{place} did not answer within {OPEN_TIMEOUT:.0f} s"
    if isinstance(error, ConnectionRefusedError) and via:
        return (
            f"the proxy {place_of(via)} refuses connections; check [server] proxy, HTTPS_PROXY and"
            " HTTP_PROXY, or name the server's host in NO_PROXY"
        )
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


def tls_words(error: ssl.SSLError) -> str:
    """What OpenSSL says, without the line of its own source that it names at the end."""
    text = getattr(error, "reason", None) or error.strerror or str(error)
    return re.sub(r" *\((_ssl\.c:\d+|None)\)", "", text).rstrip(".")


def certificate_cure(error: ssl.SSLCertVerificationError) -> str:
    """What helps against a certificate that is refused."""
    words = (error.verify_message or "").lower()
    if "expired" in words or "not yet valid" in words:
        return "renew it, or set this host's clock"
    if "mismatch" in words or "not valid for" in words:
        return "use the host name that it was made for"
    return "if a private CA signed it, name that with --ca-file or [server] ca_file"


def problem_of(body: bytes | bytearray | None) -> tuple[str, str]:
    """`code` and `detail` of problem+json (RFC 9457); empty when it is something else."""
    try:
        problem = json.loads(body or b"")
        return str(problem.get("code", "")), str(problem.get("detail", ""))
    except (ValueError, AttributeError):
        return "", ""
