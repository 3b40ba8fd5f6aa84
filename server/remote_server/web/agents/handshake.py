"""The handshake of agents' WebSockets. Speaks HTTP."""

from __future__ import annotations

import asyncio
import struct
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from remote_protocol.errors import ErrorCode
from remote_protocol.limits import SUBPROTOCOL
from remote_server.web.http.connection import Connection
from remote_server.web.http.problems import ApiProblem
from remote_server.web.route import Call

_NO_HEADERS: Final[CIMultiDict[str]] = CIMultiDict()
_TEXT: Final = 0x81
"""RFC 6455 §5.2: a whole message, of text."""
_SHORT: Final = struct.Struct(">BB")
_MIDDLE: Final = struct.Struct(">BBH")
_LONG: Final = struct.Struct(">BBQ")


class AgentSocket(web.WebSocketResponse):
    """A WebSocket that may outlive the request that opened it."""

    _outlives = False

    def outlive(self, connection: Connection) -> None:
        """Keep nothing of the request; `connection` carries it from now on."""
        self._outlives = True
        # All that is asked of it from now on is its transport.
        self._req = connection  # type: ignore[assignment]
        self._headers = _NO_HEADERS

    @property
    def room(self) -> bool:
        """Whether all that was written has left: a frame can be written without waiting."""
        wire = self._wire()
        return wire is None or wire.get_write_buffer_size() == 0

    def write_text(self, data: str) -> None:
        """Write a text frame now. ConnectionResetError."""
        # aiohttp's own way takes five calls and a coroutine for each frame, all to wait for room.
        wire = self._wire()
        if wire is None or wire.is_closing() or self.closed:
            raise ConnectionResetError("the link is gone")
        payload = data.encode()
        wire.write(_head(len(payload)) + payload)

    def _wire(self) -> asyncio.Transport | None:
        return None if self._req is None else self._req.transport

    async def write_eof(self, data: bytes = b"") -> None:
        """The end of the request is that of the WebSocket only where it does not outlive it."""
        if not self._outlives:
            await super().write_eof()


def _head(length: int) -> bytes:
    """The head of a text frame from a server, which masks nothing."""
    if length < 126:
        return _SHORT.pack(_TEXT, length)
    if length < 1 << 16:
        return _MIDDLE.pack(_TEXT, 126, length)
    return _LONG.pack(_TEXT, 127, length)


def websocket_of(call: Call, largest: int, autoping: bool = True) -> AgentSocket:
    """A WebSocket for this call, to be prepared; `largest`: bytes of a message that comes.

    ApiProblem when the request is no handshake, or the server is stopping.
    """
    # No compression: it costs more than the link saves (51 of 400 MB/s). No heartbeat of the
    # WebSocket layer: the protocol has its own, with an answer that says more.
    link = AgentSocket(
        protocols=(SUBPROTOCOL,),
        compress=False,
        max_msg_size=largest,
        heartbeat=None,
        autoping=autoping,
    )
    if not link.can_prepare(call.request).ok:
        raise ApiProblem(
            ErrorCode.BAD_REQUEST,
            f"this is the WebSocket of agents (subprotocol {SUBPROTOCOL}); the request asks for "
            "no WebSocket. A proxy in between may have removed the Upgrade header",
            headers={"Upgrade": "websocket"},
        )
    if SUBPROTOCOL not in _offered(call.request):
        raise ApiProblem(
            ErrorCode.BAD_REQUEST,
            f"the request does not offer the subprotocol {SUBPROTOCOL}: it is no agent's, or a "
            "proxy in between has removed Sec-WebSocket-Protocol",
        )
    if call.services.followers.closing:
        raise ApiProblem(
            ErrorCode.STORE_UNAVAILABLE, "the server is stopping", headers={"Retry-After": "1"}
        )
    return link


def _offered(request: web.Request) -> set[str]:
    """The subprotocols that a WebSocket handshake offers (RFC 6455 §11.3.4)."""
    lines = request.headers.getall("Sec-WebSocket-Protocol", [])
    return {name.strip() for line in lines for name in line.split(",")}
