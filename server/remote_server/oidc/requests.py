"""Requests to the provider: bounded, to its own hosts only. Touches the network through aiohttp.

Redirects are not followed, proxies of the environment are not used, cookies are not kept; an answer
has a time and a size.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from remote_server.oidc.faults import ProviderFault
from remote_server.oidc_settings import OidcPart, web_address

LARGEST: Final = 256 * 1024
"""Bytes of an answer."""
_CURE: Final = "check the address, the name server and [oidc] proxy, and try again"


class Requests:
    """Asks the provider. ProviderFault says what went wrong."""

    def __init__(self, settings: OidcPart) -> None:
        self._settings = settings
        self._hosts = {urlsplit(settings.issuer or "").netloc.lower()}
        self._hosts.update(host.lower() for host in settings.hosts)
        self._session: aiohttp.ClientSession | None = None

    def require_host(self, url: object, what: str) -> str:
        """An address of the discovery document. ProviderFault when it leads to other hosts."""
        try:
            text = web_address(str(url).partition("?")[0]) and str(url)
        except ValueError as error:
            raise ProviderFault(
                f"the provider's {what} is no usable address ({error})", "correct [oidc] issuer"
            ) from None
        host = urlsplit(text).netloc.lower()
        if host not in self._hosts:
            raise ProviderFault(
                f"the provider's {what} is at another host, {host[:200]}",
                "if that is right, name it in [oidc] hosts",
            )
        return text

    async def get(self, url: str, what: str) -> dict[str, Any]:
        """The JSON object at an address."""
        status, found = await self._ask("GET", url, what)
        if status != 200:
            raise ProviderFault(f"the provider answered {status} for its {what} at {url}", _CURE)
        return found

    async def post(
        self, url: str, what: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of the answer to a form."""
        return await self._ask("POST", url, what, form, headers)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self,
        method: str,
        url: str,
        what: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        where = f"the provider's {what} at {url}"
        try:
            # Also what aiohttp bounds by itself: looking up a name, the wait for a connection.
            async with asyncio.timeout(self._settings.timeout):
                if self._session is None:
                    self._session = self._open()
                async with self._session.request(
                    method,
                    URL(url, encoded=True),
                    data=form,
                    headers={"Accept": "application/json", **(headers or {})},
                    allow_redirects=False,
                    proxy=self._settings.proxy,
                ) as response:
                    raw = await _read(response, where)
                    status = response.status
        except TimeoutError:
            raise ProviderFault(
                f"{where} gave no complete answer within {self._settings.timeout:g} s", _CURE
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            raise ProviderFault(f"{where} cannot be reached: {_words(failure)}", _CURE) from None
        if 300 <= status < 400:
            raise ProviderFault(
                f"{where} answered {status}, a redirect",
                "redirects are not followed: give the final address as [oidc] issuer",
            )
        return status, _object(raw, status, where)

    def _open(self) -> aiohttp.ClientSession:
        try:
            context = ssl.create_default_context(cafile=self._settings.ca_file)
        except OSError as error:
            raise ProviderFault(
                f"[oidc] ca_file {self._settings.ca_file} cannot be used ({error})",
                "give a file of PEM certificates",
            ) from None
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit_per_host=8),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )


async def _read(response: aiohttp.ClientResponse, where: str) -> bytes:
    raw = bytearray()
    async for part in response.content.iter_chunked(LARGEST):
        raw += part
        if len(raw) > LARGEST:
            response.close()
            raise ProviderFault(
                f"{where} answered with more than {LARGEST} bytes", "correct [oidc] issuer"
            )
    return bytes(raw)


def _object(raw: bytes, status: int, where: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    raise ProviderFault(
        f"{where} answered {status} with no JSON object", "check that [oidc] issuer is a provider's"
    )


def _words(failure: Exception) -> str:
    if isinstance(failure, aiohttp.ClientConnectorCertificateError):
        return (
            f"its certificate is not valid ({failure.certificate_error}); a private CA's goes into "
            "[oidc] ca_file"
        )[:500]
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(failure, aiohttp.ClientConnectorError):
        return (failure.os_error.strerror or "no connection")[:200]
    if isinstance(failure, aiohttp.ServerDisconnectedError | ConnectionError):
        return "it closed the connection without a complete answer"
    return f"its answer is not valid HTTP ({type(failure).__name__})"
