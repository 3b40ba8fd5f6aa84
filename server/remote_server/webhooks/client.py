"""Posts the messages of webhooks. Touches the network through aiohttp's client.

A name is resolved once, its addresses are checked, and the connection goes to one of those that
were checked: who answers to a name cannot change in between. Redirects are not followed, cookies
are not kept, proxies of the environment are not used; of an answer a few bytes are read and none is
kept, for what a URL leads to must not show in a delivery's error.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from remote_server.destinations import DestinationRefused, Networks
from remote_server.domain.webhooks import Answer

_CONNECT: Final = 10.0
_MOST_READ: Final = 64 * 1024
_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_RESOLVERS: Final = 4
"""Threads that look up names: a slow one must not hold up what else uses threads."""
Lookup = Callable[[str, int], list[tuple[Any, ...]]]
"""Addresses of a host and a port, as `socket.getaddrinfo` gives them."""


class Poster(Protocol):
    """Sends one message."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post it and say what came of it; whatever fails is in the answer."""

    async def close(self) -> None:
        """Close all connections."""


def _lookup(host: str, port: int) -> list[tuple[Any, ...]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class CheckedResolver(AbstractResolver):
    """Gives those addresses of a name that may be connected to. DestinationRefused when there are
    none but others."""

    def __init__(self, networks: Networks, lookup: Lookup = _lookup) -> None:
        self._networks = networks
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(_RESOLVERS, "webhooks-resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, self._lookup, host, port)
        faults: list[str] = []
        usable: list[ResolveResult] = []
        for kind, _, protocol, _, address in found:
            if family not in (socket.AF_UNSPEC, kind):
                continue
            if fault := self._networks.fault(str(address[0])):
                faults.append(fault)
            else:
                usable.append(
                    ResolveResult(
                        hostname=host,
                        host=str(address[0]),
                        port=port,
                        family=kind,
                        proto=protocol,
                        flags=socket.AI_NUMERICHOST,
                    )
                )
        if not usable and faults:
            raise DestinationRefused(f"{host} leads to {faults[0]}")
        return usable

    async def close(self) -> None:
        """End its threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class HttpPoster:
    """Posts over HTTP. `proxy`: the URL of a proxy that all messages go through; it resolves the
    names itself, and says what may be reached."""

    def __init__(
        self,
        networks: Networks,
        timeout: float,
        proxy: str | None = None,
        ca_file: Path | None = None,
        lookup: Lookup = _lookup,
    ) -> None:
        self._networks = networks
        self._timeout = timeout
        self._proxy = proxy
        self._ca_file = ca_file
        self._lookup = lookup
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post a message and say what came of it."""
        started = time.monotonic()
        status: int | None = None
        wait, error = 0.0, ""
        try:
            # Also what aiohttp bounds by itself: looking up a name, and the wait for a connection.
            async with asyncio.timeout(self._timeout):
                self._check(url)
                if self._session is None:
                    self._session = self._open()
                async with self._session.post(
                    URL(url, encoded=True),
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                ) as response:
                    status = response.status
                    wait = _seconds(response.headers.get("Retry-After", ""))
                    error = _refusal(response)
                    await _drain(response)
        except TimeoutError:
            error = f"no complete answer within {self._timeout:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error = error or _words(failure)
        return Answer(time.monotonic() - started, status, error, wait)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _check(self, url: str) -> None:
        """DestinationRefused for an address that is written out: no name is resolved then."""
        host = urlsplit(url).hostname or ""
        if ":" in host or host.replace(".", "").isdigit():
            if fault := self._networks.fault(host):
                raise DestinationRefused(fault)

    def _open(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=self._ca_file)
        connector = aiohttp.TCPConnector(
            resolver=None if self._proxy else CheckedResolver(self._networks, self._lookup),
            use_dns_cache=False,
            ssl=context,
            socket_factory=None if self._proxy else self._socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=_CONNECT),
            auto_decompress=False,
            trust_env=False,
        )

    def _socket(self, info: Any) -> socket.socket:
        """A socket for an address, if that may be connected to: whatever led there."""
        kind, type_, protocol, _, address = info
        if fault := self._networks.fault(str(address[0])):
            raise DestinationRefused(fault)
        return socket.socket(kind, type_, protocol)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read a short answer, so that its connection can be used again; a long one ends it."""
    left = _MOST_READ
    while left > 0:
        part = await response.content.read(left)
        if not part:
            return
        left -= len(part)
    response.close()


def _refusal(response: aiohttp.ClientResponse) -> str:
    """Why an answer is none of success; empty when it is one."""
    if response.status in _OK:
        return ""
    if response.status in _REDIRECTS:
        return (
            f"the receiver answered {response.status}, a redirect; redirects are not followed: "
            "give the webhook the final URL"
        )
    return f"the receiver answered {response.status}"


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 9 else 0.0


def _words(failure: Exception) -> str:
    """What went wrong, as a sentence without the URL, which may hold a secret."""
    cause = getattr(failure, "os_error", failure)
    if isinstance(cause, DestinationRefused):
        return str(cause)
    if isinstance(failure, aiohttp.ClientConnectorCertificateError):
        return f"the receiver's certificate is not valid: {failure.certificate_error}"[:500]
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return "the name of the receiver's host cannot be resolved"
    if isinstance(failure, aiohttp.ClientConnectorSSLError):
        return "the receiver speaks no TLS that we know"
    if isinstance(failure, aiohttp.ClientConnectorError):
        reason = failure.os_error.strerror or "no connection"
        return f"the receiver cannot be reached: {reason}"[:500]
    if isinstance(failure, aiohttp.ServerDisconnectedError | ConnectionError):
        return "the receiver closed the connection without a complete answer"
    if isinstance(failure, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {failure.status}"
    if isinstance(failure, aiohttp.ClientPayloadError | aiohttp.ClientResponseError):
        return "the receiver's answer is not valid HTTP"
    return f"the message could not be sent ({type(failure).__name__})"
