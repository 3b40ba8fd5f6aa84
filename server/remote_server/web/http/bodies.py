"""Bodies of requests: read up to a bound, within a time, and within a budget of memory.

A body that is here already when its call looks costs nothing of this; the budget counts what comes
later than that, and is larger than one piece.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from remote_protocol.errors import ErrorCode
from remote_protocol.units import format_size
from remote_server.web.http.problems import ApiProblem, validation

MAX_SILENCE: Final = 20.0
"""Seconds without a byte, and for the first bytes, after which a body is given up."""
SLOWEST: Final = 64 * 1024
"""Bytes a second that a body must come with, after MAX_SILENCE."""
UNCOUNTED: Final = 64 * 1024
"""Bytes of a body that are not counted."""
_PLAIN: Final = 16 * 1024
_PIECE: Final = 64 * 1024


class BodyBudget:
    """Bytes of bodies that are held, in total and for each token."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._of: Counter[str] = Counter()
        self.held = 0
        """Bytes that are counted now."""

    def take(self, owner: str, size: int) -> None:
        """Count `size` more bytes. ApiProblem when that is too much now."""
        if self._of[owner] + size > self._most_each:
            raise ApiProblem(
                ErrorCode.TOO_MANY_REQUESTS,
                f"bodies of more than {format_size(self._most_each)} are being sent with this "
                "token at the same time; send fewer at once",
                headers={"Retry-After": "5", "Connection": "close"},
            )
        if self.held + size > self._most:
            raise ApiProblem(
                ErrorCode.OVERLOADED,
                f"bodies of more than {format_size(self._most)} are being sent to this server at "
                "the same time; try again later",
                headers={"Retry-After": "5", "Connection": "close"},
            )
        self._of[owner] += size
        self.held += size

    def give(self, owner: str, size: int) -> None:
        """Count `size` bytes less."""
        self.held -= size
        self._of[owner] -= size
        if self._of[owner] <= 0:
            del self._of[owner]


class Body:
    """The body of one request; `release` when the request is answered."""

    __slots__ = ("_budget", "_held", "_owner")

    def __init__(self, budget: BodyBudget, owner: str) -> None:
        self._budget = budget
        self._owner = owner
        self._held = 0

    def release(self) -> None:
        """Its bytes are needed no more."""
        if self._held:
            self._budget.give(self._owner, self._held)
            self._held = 0

    async def read(self, request: web.BaseRequest, largest: int) -> bytes:
        """All of it. ApiProblem beyond `largest` bytes (no more is read), when it takes too long,
        is not framed as it says, or when the budget has no room."""
        if (request.content_length or 0) > largest:
            raise _too_large(largest)
        content = request.content
        if not content.is_eof():
            # Most clients write it right after the head: then it is there in the next turn.
            await asyncio.sleep(0)
        if content.is_eof():
            data = b"" if content.at_eof() else content.read_nowait(-1)
            if len(data) > largest:
                raise _too_large(largest)
            return data
        try:
            return await self._slowly(request.content, largest)
        except TimeoutError:
            raise ApiProblem(
                ErrorCode.REQUEST_TIMEOUT,
                "the body came too slowly, or not at all; send it again",
                headers={"Connection": "close"},
            ) from None
        except (web.RequestPayloadError, HttpProcessingError) as error:
            raise ApiProblem(
                ErrorCode.BAD_REQUEST,
                "the body is not framed as its headers say (RFC 9112 §7)",
                headers={"Connection": "close"},
            ) from error

    async def _slowly(self, content: StreamReader, largest: int) -> bytes:
        begun = time.monotonic()
        # Grown in place: pieces that are joined in the end are there twice.
        whole = bytearray()
        while not content.at_eof():
            async with asyncio.timeout(MAX_SILENCE):
                piece = await content.readany()
            whole += piece
            size = len(whole)
            if size > largest:
                raise _too_large(largest)
            if size > UNCOUNTED:
                more = size - UNCOUNTED - self._held
                self._budget.take(self._owner, more)
                self._held += more
            if time.monotonic() - begun > MAX_SILENCE + size / SLOWEST:
                raise TimeoutError
        return bytes(whole)


def require_few_values(raw: bytes, most: int) -> None:
    """ApiProblem when JSON has more than `most` values, counted without parsing it: each of them
    costs many times its size, and may cost a fault that has to be named."""
    if len(raw) <= _PLAIN or _marks(raw) <= most:
        # Those inside strings counted, too: of most bodies there is no more to be known.
        return
    count = 0
    for piece in _outside_strings(raw):
        count += _marks(piece)
        if count > most:
            raise validation([("", f"the body has more than {most} values")])


def _outside_strings(raw: bytes) -> Iterator[bytes]:
    """What of a JSON text stands outside of its strings, piece by piece.

    A regular expression would be slow where a string has no end, and would take many times the
    text's size where there are many.
    """
    inside = False
    start = 0
    while start < len(raw):
        piece = raw[start : start + _PIECE]
        slashes = len(piece) - len(piece.rstrip(b"\\"))
        if slashes % 2:
            # The last one and what it escapes are one.
            piece = raw[start : start + _PIECE + 1]
        start += len(piece)
        # Every quote that is left begins a string or ends one.
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        yield b"".join(parts[inside::2])
        inside ^= len(parts) % 2 == 0


def _marks(raw: bytes) -> int:
    """What stands before each value of a JSON text, or before its first one."""
    return raw.count(b",") + raw.count(b"{") + raw.count(b"[")


def _too_large(largest: int) -> ApiProblem:
    return ApiProblem(
        ErrorCode.BODY_TOO_LARGE,
        f"the body is larger than {format_size(largest)}, the most that this call takes",
        headers={"Connection": "close"},
    )
