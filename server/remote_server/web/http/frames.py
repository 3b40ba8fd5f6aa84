"""Long answers: newline-delimited JSON and server-sent events, and which one a client wants.

An answer that breaks off ends its connection without the last chunk, so that a client can tell
it from a complete one and resumes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, Protocol

from aiohttp import web

from remote_protocol.errors import ErrorCode
from remote_server.web.http.headers import header
from remote_server.web.http.problems import SECURITY_HEADERS, ApiProblem

NDJSON: Final = "application/x-ndjson"
SSE: Final = "text/event-stream"
TEXT: Final = "text/plain"
CRI: Final = "application/vnd.cri-log"
KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a follower looks whether its client is still there; proxies
cut a silent connection after 60."""

_PIECE: Final = 64 * 1024
_KEEP_ALIVE: Final = {SSE: b": keep-alive\n\n", NDJSON: b"\n"}
"""What those who read a form pass over: a comment, an empty line."""


class Answering(Protocol):
    """A call that is being answered."""

    request: web.Request
    opened: web.StreamResponse | None
    """The answer that has begun."""


class ClientGone(ConnectionError):
    """The client closed its side, or the server stops: the answer breaks off."""


def accepted(request: web.Request, offered: Sequence[str]) -> str:
    """The media type of `offered` that a request prefers. ApiProblem when none is acceptable."""
    return choose(header(request, "Accept"), offered)


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """The media type of `offered` that an Accept header prefers (RFC 9110 §12.5.1).

    The first one when the header is missing. ApiProblem when none is acceptable.
    """
    if not accept:
        return offered[0]
    best, best_rank = None, (0.0, 0)
    for part in accept.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(float(parameter[2:]), 1.0)
                except ValueError:
                    quality = 0.0
        for index, offer in enumerate(offered):
            exact = media == offer
            range_of = media in ("*/*", offer.split("/")[0] + "/*")
            rank = (quality + (0.0001 if exact else 0.0), -index)
            if (exact or range_of) and quality > 0 and (best is None or rank > best_rank):
                best, best_rank = offer, rank
    if best is None:
        raise ApiProblem(
            ErrorCode.BAD_REQUEST, f"{accept} cannot be given; there is {', '.join(offered)}"
        )
    return best


class Stream:
    """One long answer that is being written; memory is bounded by the socket's buffer."""

    def __init__(
        self,
        call: Answering,
        media: str,
        headers: dict[str, str] | None = None,
        length: int | None = None,
        status: int = 200,
    ) -> None:
        self.media = media
        self._call = call
        self._request = call.request
        charset = "; charset=utf-8" if media == NDJSON else ""
        self._response = web.StreamResponse(
            status=status,
            headers={
                "Content-Type": media + charset,
                **SECURITY_HEADERS,
                # nginx would hold back what it takes for one big answer.
                "X-Accel-Buffering": "no",
                **(headers or {}),
            },
        )
        if length is not None:
            self._response.content_length = length

    async def open(self) -> None:
        """Send the head."""
        self._call.opened = self._response
        await self._response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        """Send a piece; waits while the client is slow. ClientGone when it has left."""
        if len(data) <= _PIECE:
            if data:
                await self._response.write(data)
            return
        # The socket's buffer holds the rest of what it was given last, whatever its size.
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            await self._response.write(view[start : start + _PIECE])

    async def keep_alive(self) -> None:
        """Show that the stream lives, where the format has a way. ClientGone when it does not."""
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ClientGone("the client has left")
        if self.media in _KEEP_ALIVE:
            await self._response.write(_KEEP_ALIVE[self.media])

    async def event(self, name: str, values: dict[str, object]) -> None:
        """Say something that is no record, where the format has a way."""
        if self.media == SSE:
            await self._response.write(sse(_json(values), event=name).encode())
        elif self.media == NDJSON:
            await self._response.write(f"{_json({'event': name, **values})}\n".encode())

    async def close(self) -> web.StreamResponse:
        """Send the end."""
        await self._response.write_eof()
        return self._response


def _json(values: dict[str, object]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def sse(data: str, number: int | None = None, event: str | None = None) -> str:
    """One server-sent event (WHATWG HTML §9.2); `data` is one line."""
    head = f"event: {event}\n" if event else ""
    if number is not None:
        head += f"id: {number}\n"
    return f"{head}data: {data}\n\n"
