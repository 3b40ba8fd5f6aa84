"""A tunnel through an HTTP proxy: CONNECT (RFC 9110 §9.3.6), with a password if it has one.

Touches the network. websockets could make it too, but sends a password as it stands in the URL,
percent signs and all, so that no special character ever arrives.
"""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import InvalidProxy, InvalidProxyMessage, InvalidProxyStatus
from websockets.http11 import Response

from remote_protocol.urls import proxy_authorization

_END: Final = b"\r\n\r\n"
_STATUS: Final = re.compile(rb"[0-9]{3}")
_ONLY: Final = "http"
_PORT: Final = 80


async def open_tunnel(proxy: str, host: str, port: int) -> socket.socket:
    """A connected socket whose other end is `host:port`.

    InvalidProxy for a URL that is none of ours, InvalidProxyStatus when the proxy refuses,
    InvalidProxyMessage when it speaks something else, OSError when it cannot be reached.
    """
    parts = urlsplit(proxy)
    if parts.scheme != _ONLY or not parts.hostname:
        raise InvalidProxy(proxy, "only http:// is supported")
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or _PORT)
    try:
        writer.write(_request(proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
        _check(await _head(reader))
        # The transport keeps its own descriptor; nobody speaks before we do, so nothing was read.
        duplicate: socket.socket = writer.get_extra_info("socket").dup()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    duplicate.setblocking(False)
    return duplicate


def _request(proxy: str, target: str) -> bytes:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    authorization = proxy_authorization(proxy)
    if authorization is not None:
        lines.append(f"Proxy-Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(_END)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise InvalidProxyMessage("no HTTP response from the proxy") from error


def _check(head: bytes) -> None:
    version, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    code, _, reason = rest.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not _STATUS.fullmatch(code):
        raise InvalidProxyMessage("no HTTP response from the proxy")
    if not 200 <= int(code) < 300:
        words = reason.decode(errors="replace")
        raise InvalidProxyStatus(Response(int(code), words, Headers()))
