"""Identifiers, names and token texts. Pure: time and entropy are arguments.

Job ids are ULIDs (github.com/ulid/spec): 26 characters of Crockford base 32, sortable by the
time of creation, 16 bytes on the wire. An agent token carries its kind in its first four
characters, so that a token in the wrong place can be refused by name.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from remote_protocol.limits import MAX_LABELS, MAX_NAME, NAME_PATTERN

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS: Final = range(120, -1, -10)
_DIGITS: Final = bytes(
    b"0123456789abcdefghijklmnopqrstuv"[_ALPHABET.index(chr(code))] if chr(code) in _ALPHABET else 0
    for code in range(256)
)
"""From Crockford's digits to those that `int` knows; all else becomes one that it refuses."""
ULID_ENTROPY: Final = 10
"""Random bytes in a ULID."""
TOKEN_ENTROPY: Final = 32
"""Random bytes in a token: 256 bits, so that a plain SHA-256 is a safe way to store it."""

ULID: Final = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
"""Pattern of a ULID in its canonical form."""
JobId = Annotated[str, StringConstraints(pattern=f"^{ULID}$")]


def is_ulid(text: str) -> bool:
    """Whether it is a ULID in its canonical form."""
    return re.fullmatch(ULID, text) is not None


def make_ulid(milliseconds: int, entropy: bytes) -> str:
    """A ULID from Unix time in milliseconds and ten random bytes. ValueError on other sizes."""
    if len(entropy) != ULID_ENTROPY or not 0 <= milliseconds < 1 << 48:
        raise ValueError("a ULID takes 48 bits of time and 10 bytes of entropy")
    return ulid_from_bytes(milliseconds.to_bytes(6, "big") + entropy)


def ulid_from_bytes(raw: bytes) -> str:
    """The text of a ULID's 16 bytes. ValueError on another length."""
    if len(raw) != 16:
        raise ValueError("a ULID has 16 bytes")
    number = int.from_bytes(raw, "big")
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def ulid_to_bytes(text: str) -> bytes:
    """The 16 bytes of a ULID's text. ValueError when it is none."""
    if len(text) != 26:
        raise ValueError("a ULID has 26 characters")
    try:
        number = int(text.encode("ascii").translate(_DIGITS), 32)
    except ValueError:
        raise ValueError(f"{text!r} has a character that is none of a ULID") from None
    return number.to_bytes(16, "big") if number < 1 << 128 else _too_large()


def ulid_milliseconds(text: str) -> int:
    """Unix time in milliseconds at which a ULID was made: what its first ten digits say."""
    return int(text[:10].encode("ascii").translate(_DIGITS), 32)


def _too_large() -> bytes:
    raise ValueError("a ULID starts with 0 to 7")


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""Name of an agent or a queue: letters, digits, `.`, `_`, `-`; unique, fit for URLs and files."""


def without_nul(text: str, what: str = "it") -> str:
    """The text itself. ValueError when it has U+0000: no program takes it, nor does PostgreSQL."""
    if "\0" in text:
        raise ValueError(f"{what} cannot contain a NUL character")
    return text


WITHOUT_NUL: Final = AfterValidator(without_nul)
"""Belongs to every text that people or programs choose, unless a pattern bounds it."""


IdempotencyKey = Annotated[str, StringConstraints(min_length=1, max_length=255), WITHOUT_NUL]
"""What a submitter gives a job, so that a repeated call makes no second one."""


def _label_key(key: object) -> object:
    if not isinstance(key, str):
        return key
    if not key or len(key) > MAX_NAME or any(c in "=,\n\r" for c in key):
        raise ValueError(f"a label's key is 1 to {MAX_NAME} characters without = , or line ends")
    return without_nul(key, "a label's key")


LabelKey = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_NAME), BeforeValidator(_label_key)
]
LabelValue = Annotated[str, StringConstraints(max_length=MAX_NAME), WITHOUT_NUL]


def at_most(most: int, what: str) -> Callable[[object], object]:
    """A validator that counts a mapping's entries before any of them is looked at: a fault for
    each of a million would be larger than what was sent."""

    def check(value: object) -> object:
        if isinstance(value, dict) and len(value) > most:
            raise ValueError(f"at most {most} {what} are allowed, not {len(value)}")
        return value

    return check


Labels = Annotated[
    dict[LabelKey, LabelValue],
    Field(max_length=MAX_LABELS),
    BeforeValidator(at_most(MAX_LABELS, "labels")),
]
"""Labels of an agent, or those that a job demands."""


class TokenKind(StrEnum):
    """What a token is for; the value is its prefix."""

    REGISTRATION = "rrt_"
    AGENT = "rat_"
    API = "rpt_"
    JOB = "rjt_"

    @property
    def words(self) -> str:
        """The kind in words."""
        return _WORDS[self]


_KINDS: Final = {kind.value: kind for kind in TokenKind}
_WORDS: Final = {
    TokenKind.REGISTRATION: "registration token",
    TokenKind.AGENT: "agent token",
    TokenKind.API: "API token",
    TokenKind.JOB: "job token",
}


class Role(StrEnum):
    """What the bearer of an API token may do; each role includes those before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        return _RANK[self] >= _RANK[other]


_RANK: Final = {role: rank for rank, role in enumerate(Role)}


def make_token(kind: TokenKind, entropy: bytes) -> str:
    """A token's text: prefix and 43 characters of base64url (RFC 4648 §5)."""
    if len(entropy) != TOKEN_ENTROPY:
        raise ValueError(f"a token takes {TOKEN_ENTROPY} bytes of entropy")
    return kind.value + urlsafe_b64encode(entropy).rstrip(b"=").decode()


def kind_of(token: str) -> TokenKind | None:
    """The kind that a token's prefix names, None when it names none."""
    return _KINDS.get(token[:4])
