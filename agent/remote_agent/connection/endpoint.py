"""Where the server is, and through which proxy. Reads the environment's proxy settings, and the
certificates that are named.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from remote_agent import backoff
from remote_agent.processes import may_have_proxy
from remote_protocol.frozen import frozen
from remote_protocol.urls import choose_proxy

OPEN_TIMEOUT: Final = 20.0
"""Seconds until a connection attempt is given up."""


@frozen
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
        """The address of the session's WebSocket."""
        return self._websocket("/api/v1/agent/session")

    @property
    def probe_url(self) -> str:
        """The address of the WebSocket that sends back what comes."""
        return self._websocket("/api/v1/agent/probe")

    def _websocket(self, path: str) -> str:
        parts = urlsplit(self.url)
        scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
        return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, "", ""))

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
    if not may_have_proxy(os.environ):
        return None
    # Loaded here only: with http.client and email below it, it takes two megabytes.
    from urllib.request import getproxies, proxy_bypass

    proxy = choose_proxy(url, getproxies(), proxy_bypass)
    return None if proxy is None else proxy.url


def tls_of(endpoint: Endpoint) -> ssl.SSLContext:
    """The certificates that are trusted, and the client's own. OSError, ssl.SSLError."""
    context = ssl.create_default_context(cafile=endpoint.ca_file)
    if endpoint.client_cert:
        context.load_cert_chain(endpoint.client_cert, endpoint.client_key)
    return context
