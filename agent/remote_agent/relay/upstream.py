"""Connections to the server for relayed requests: through the agent's proxy, with its TLS.

Touches the network. A connection is kept for the next request of the same client, while it is sure
that the server has kept it, too.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from websockets.exceptions import InvalidProxy, ProxyError

from remote_agent.connection.endpoint import OPEN_TIMEOUT, Endpoint, tls_of
from remote_agent.connection.faults import explain
from remote_agent.connection.tunnel import open_tunnel
from remote_agent.relay.wire import PIECE

IDLE: Final = 30.0
"""Seconds for which an idle connection is kept: servers and proxies keep theirs for longer."""
_TLS_AGE: Final = 300.0
"""Seconds for which certificates that were read are used: reading them takes ten milliseconds."""


class ServerAway(Exception):
    """The server cannot be reached; the text is a sentence without a secret."""


class TlsCache:
    """The certificates of the agent's connections, read anew from time to time."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: tuple[Endpoint, float, ssl.SSLContext] | None = None

    def of(self, endpoint: Endpoint) -> ssl.SSLContext:
        """The context for this endpoint. OSError."""
        now = self._now()
        if self._known is None or self._known[0] != endpoint or now - self._known[1] > _TLS_AGE:
            self._known = (endpoint, now, tls_of(endpoint))
        return self._known[2]


class Connection:
    """One connection to the server."""

    def __init__(
        self, endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.endpoint = endpoint
        self.reader = reader
        self.writer = writer
        self.used_at = time.monotonic()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent over it."""
        fresh = time.monotonic() - self.used_at < IDLE
        return fresh and not self.reader.at_eof() and not self.writer.is_closing()

    def close(self) -> None:
        """Close it, at once."""
        self.writer.transport.abort()


async def connect(endpoint: Endpoint, tls: TlsCache) -> Connection:
    """A new connection. ServerAway."""
    secure = urlsplit(endpoint.url).scheme == "https"
    host, port = endpoint.address
    try:
        async with asyncio.timeout(OPEN_TIMEOUT):
            context = tls.of(endpoint) if secure else None
            name = host if secure else None
            if endpoint.via is not None:
                # Through a tunnel, as the link: the proxy sees neither token nor requests.
                raw = await open_tunnel(endpoint.via, host, port)
                opened = await asyncio.open_connection(
                    sock=raw, ssl=context, server_hostname=name, limit=PIECE
                )
            else:
                opened = await asyncio.open_connection(
                    host, port, ssl=context, server_hostname=name, limit=PIECE
                )
    except (OSError, InvalidProxy, ProxyError, TimeoutError) as error:
        raise ServerAway(f"the server cannot be reached: {explain(error, endpoint)}") from None
    return Connection(endpoint, *opened)
