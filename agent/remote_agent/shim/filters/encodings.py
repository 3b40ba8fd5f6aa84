"""The forms in which a value can stand in a job's output, as plain bytes to search for. Pure.

A value is searched as it is and as common programs print it: base64 wherever it lies in what was
encoded, hexadecimal, percent-encoded, escaped as in JSON, quoted for a shell; whole, and each line
by itself. What is encoded twice, or otherwise, is not found.
"""

from __future__ import annotations

import json
import re
from binascii import b2a_base64
from collections.abc import Iterator
from typing import Final

SHORTEST: Final = 4
"""Bytes of a form at the least: what is shorter stands everywhere by chance."""
PIECE: Final = 512
"""Bytes of a form at the most: what is longer is searched piece by piece, so that a search never
waits for more."""
_LITERALS: Final = frozenset({b"true", b"false", b"null", b"none"})
_COLUMNS: Final = (64, 76)
"""Widths at which programs break base64: openssl and PEM; base64(1) and MIME."""
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
_COMPONENT: Final = _UNRESERVED | frozenset(b"!*'()")
_KEPT: Final = (
    (_UNRESERVED, False),
    (_UNRESERVED | frozenset(b"/"), False),
    (_COMPONENT, False),
    (_COMPONENT | frozenset(b";/?:@&=+$,#"), False),
    (_UNRESERVED, True),
    (_UNRESERVED - frozenset(b"~") | frozenset(b"*"), True),
)
"""Bytes that are not percent-encoded, and whether a space becomes a plus: RFC 3986, Python's
`quote`, JavaScript's `encodeURIComponent` and `encodeURI`, `quote_plus`, forms (WHATWG URL)."""


def lines_of(value: bytes) -> list[bytes]:
    """The lines of a value, without white space around them; one for most values."""
    return [line for part in value.splitlines() if (line := part.strip())]


def maskable(line: bytes) -> bool:
    """Whether a value or a line of one is searched for at all: long enough, and no literal that
    the output of many programs is full of."""
    return len(line) >= SHORTEST and line.lower() not in _LITERALS


def forms(value: bytes) -> set[bytes]:
    """All that is searched for because of a value; empty when it is too short."""
    whole = value.strip()
    lines = [line for line in lines_of(value) if maskable(line)]
    texts = set(lines)
    if maskable(whole):
        unix = whole.replace(b"\r\n", b"\n")
        texts |= {whole, unix, unix.replace(b"\n", b"\r\n")}
    found = {form for text in texts for form in _encodings(text)}
    return {piece for form in found if len(form) >= SHORTEST for piece in _pieces(form)}


def _pieces(form: bytes) -> Iterator[bytes]:
    for start in range(0, max(len(form) - PIECE, 0), PIECE):
        yield form[start : start + PIECE]
    yield form[-PIECE:]


def _encodings(text: bytes) -> set[bytes]:
    found = {text, text.hex().encode(), text.hex().upper().encode()}
    found.update(_base64(text))
    # Most secrets are letters and digits, which nothing escapes.
    if not (text.isalnum() and text.isascii()):
        for kept, plus in _KEPT:
            for digits in ("%%%02X", "%%%02x"):
                found.add(_percent(text, kept, plus, digits))
        found.update(_json(text))
        if b"'" in text:
            # As bash and as Python's shlex quote it.
            found |= {text.replace(b"'", b"'\\''"), text.replace(b"'", b"'\"'\"'")}
    return found


def _base64(text: bytes) -> Iterator[bytes]:
    """Its base64 after 0, 1 and 2 other bytes, without the characters at both ends that hold bits
    of its neighbours, too; and as it is where nothing follows."""
    for before in range(3):
        data = b2a_base64(bytes(before) + text, newline=False).rstrip(b"=")
        first, end = (0, 2, 3)[before], 8 * (before + len(text)) // 6
        for encoded in {data, data.translate(_URL_SAFE)}:
            yield encoded[first:end]
            yield encoded[first:]
            if before == 0:
                yield from _columns(encoded[:end])


def _columns(encoded: bytes) -> Iterator[bytes]:
    for width in _COLUMNS:
        if len(encoded) > width:
            yield from (encoded[at : at + width] for at in range(0, len(encoded), width))


def _percent(text: bytes, kept: frozenset[int], plus: bool, digits: str) -> bytes:
    words = [chr(byte) if byte in kept else digits % byte for byte in text]
    encoded = "".join(words)
    return (encoded.replace("%20", "+") if plus else encoded).encode()


def _json(text: bytes) -> Iterator[bytes]:
    """As strings of JSON: in ASCII with digits of both cases, in UTF-8, with a slash escaped (PHP),
    safe within HTML (Go)."""
    string = text.decode(errors="surrogateescape")
    ascii_only = json.dumps(string)[1:-1]
    utf8 = json.dumps(string, ensure_ascii=False)[1:-1]
    upper = re.sub(r"\\u[0-9a-f]{4}", lambda match: "\\u" + match[0][2:].upper(), ascii_only)
    html = utf8
    for character in "<>&":
        html = html.replace(character, f"\\u{ord(character):04x}")
    for escaped in (ascii_only, upper, utf8, html):
        yield escaped.encode(errors="surrogateescape")
        yield escaped.replace("/", "\\/").encode(errors="surrogateescape")
