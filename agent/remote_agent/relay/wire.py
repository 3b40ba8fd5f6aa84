"""HTTP/1.1 as the relay speaks it on both sides (RFC 9112): heads, and bodies piece by piece.

Reads streams, writes nothing. Strict: what two programs could read in two ways is refused.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from remote_protocol.relay import STALL

MAX_HEAD: Final = 24 * 1024
"""Bytes of a head."""
MAX_LINE: Final = 8000
"""Bytes of one header of a request: the server takes 8,190, and a prefix is added."""
MAX_LINES: Final = 48
"""Headers of a message: the server takes 64, and some are added."""
PIECE: Final = 64 * 1024
CHUNKED: Final = -1
"""In place of a length: the body comes in chunks (RFC 9112 §7.1)."""
TO_THE_END: Final = -2
"""In place of a length: the body ends with the connection."""
_END: Final = b"\r\n\r\n"
_REQUEST: Final = re.compile(r"([A-Z]{1,16}) ([\x21-\x7e]+) HTTP/1\.([01])")
_STATUS: Final = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_WITHOUT_BODY: Final = (204, 304)


class BadMessage(Exception):
    """What came is not HTTP as we take it; `status` goes with it, the text is a sentence."""

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.status = status


class BodyTooLarge(BadMessage):
    """A body is larger than what is relayed."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the body is larger than {most >> 20} MiB, the most that is relayed", 413)


class Head(NamedTuple):
    """The head of a message."""

    words: tuple[str, ...]
    """Method and target of a request, the status of a response."""
    minor: int
    """1 for HTTP/1.1, 0 for HTTP/1.0."""
    headers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for key, value in self.headers if key.lower() == name]

    def get(self, name: str) -> str:
        """The value of a header; empty when there is none."""
        return next(iter(self.all(name)), "")

    @property
    def keeps(self) -> bool:
        """Whether the connection stays open after the message (RFC 9112 §9.3)."""
        said = ",".join(self.all("connection")).lower()
        return "close" not in said and self.minor == 1


async def read_request(reader: asyncio.StreamReader, begun: bytes = b"") -> Head | None:
    """The next request, of which `begun` was read already; None when there is none any more.
    BadMessage."""
    return await _read_head(reader, _REQUEST, "an HTTP request", begun)


async def read_response(reader: asyncio.StreamReader) -> Head | None:
    """The next final response; None when the connection ended before it. BadMessage."""
    while True:
        head = await _read_head(reader, _STATUS, "an HTTP response")
        if head is None or head.words[0] >= "200":
            return head


async def _read_head(
    reader: asyncio.StreamReader, first: re.Pattern[str], words: str, begun: bytes = b""
) -> Head | None:
    try:
        raw = begun + await reader.readuntil(_END)
    except asyncio.IncompleteReadError as error:
        if not (begun + error.partial):
            return None
        raise BadMessage(f"the connection ended within the head of {words}") from None
    except asyncio.LimitOverrunError:
        raise BadMessage("the head is too large", 431) from None
    if len(raw) > MAX_HEAD:
        raise BadMessage(f"the head is larger than {MAX_HEAD >> 10} KiB", 431)
    lines = raw[: -len(_END)].decode("latin-1").split("\r\n")
    start = first.fullmatch(lines[0])
    if start is None:
        raise BadMessage(f"this is not {words} of HTTP/1.1")
    if len(lines) - 1 > MAX_LINES:
        raise BadMessage(f"there are more than {MAX_LINES} headers", 431)
    if first is _REQUEST and max(map(len, lines[1:]), default=0) > MAX_LINE:
        raise BadMessage(f"a header is larger than {MAX_LINE} bytes", 431)
    headers = []
    for line in lines[1:]:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise BadMessage("a header is malformed (RFC 9112 §5)")
        headers.append((found[1], found[2].rstrip(" \t")))
    if first is _REQUEST:
        return Head((start[1], start[2]), int(start[3]), headers)
    return Head((start[2],), int(start[1]), headers)


def length_of_request(head: Head) -> int:
    """Bytes of its body, or CHUNKED. BadMessage for what could be read in two ways."""
    return _length(head, 0)


def length_of_response(head: Head, method: str) -> int:
    """Bytes of its body, CHUNKED or TO_THE_END. BadMessage."""
    if method == "HEAD" or int(head.words[0]) in _WITHOUT_BODY:
        return 0
    return _length(head, TO_THE_END)


def _length(head: Head, without: int) -> int:
    coded, lengths = head.all("transfer-encoding"), head.all("content-length")
    if coded:
        if lengths or head.minor == 0 or [c.strip().lower() for c in coded] != ["chunked"]:
            raise BadMessage("the body's length is given in a way that is not taken")
        return CHUNKED
    if not lengths:
        return without
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise BadMessage("Content-Length is not one number")
    return int(lengths[0])


async def body(
    reader: asyncio.StreamReader, length: int, most: int, stall: float = STALL
) -> AsyncIterator[bytes]:
    """The pieces of a body. BadMessage, BodyTooLarge beyond `most` bytes; TimeoutError when nothing
    comes for so long."""
    if length > most:
        raise BodyTooLarge(most)
    if length == CHUNKED:
        async for piece in _chunks(reader, most, stall):
            yield piece
        return
    left = most if length == TO_THE_END else length
    while left or length == TO_THE_END:
        async with asyncio.timeout(stall):
            piece = await reader.read(min(left, PIECE) or 1)
        if not piece:
            if length == TO_THE_END:
                return
            raise BadMessage("the connection ended within a body")
        left -= len(piece)
        if left < 0 or (length == TO_THE_END and not left):
            raise BodyTooLarge(most)
        yield piece


async def _chunks(reader: asyncio.StreamReader, most: int, stall: float) -> AsyncIterator[bytes]:
    total = 0
    while True:
        found = _SIZE.fullmatch(await _line(reader, stall))
        if found is None:
            raise BadMessage("a chunk has no size (RFC 9112 §7.1)")
        left = int(found[1], 16)
        total += left
        if total > most:
            raise BodyTooLarge(most)
        if not left:
            break
        while left:
            async with asyncio.timeout(stall):
                piece = await reader.read(min(left, PIECE))
            if not piece:
                raise BadMessage("the connection ended within a body")
            left -= len(piece)
            yield piece
        if await _line(reader, stall) != b"\r\n":
            raise BadMessage("a chunk is longer than its size")
    # Trailers are passed over: nobody in between could have checked them.
    for _ in range(MAX_LINES):
        if await _line(reader, stall) == b"\r\n":
            return
    raise BadMessage("there are too many trailers")


async def _line(reader: asyncio.StreamReader, stall: float) -> bytes:
    try:
        async with asyncio.timeout(stall):
            return await reader.readuntil(b"\r\n")
    except asyncio.IncompleteReadError:
        raise BadMessage("the connection ended within a body") from None
    except asyncio.LimitOverrunError:
        raise BadMessage("a line of a body is too long") from None


def head_of(first: str, headers: Sequence[tuple[str, str]]) -> bytes:
    """A head as it is sent."""
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(piece: bytes) -> bytes:
    """A piece of a body that comes in chunks; nothing ends it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
