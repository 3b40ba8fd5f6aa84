"""What a job's request looks like on its way over the relay, and which are let through. Pure.

Between agent and server it is the body of one POST: method, target and headers of the job's request
are headers with a prefix (`Relayed-`), and so are status and headers of the answer. So nothing that
a job says means anything to a proxy in between, or to the server itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

PREFIX: Final = "Relayed-"
METHOD: Final = "Relayed-Method"
TARGET: Final = "Relayed-Target"
"""Path and query, as the job has sent them."""
STATUS: Final = "Relayed-Status"
"""Only an answer of the relay's destination has it; others are the server's own refusals."""
VARIABLE: Final = "REMOTE_RELAY_URL"
"""The job's variable with the address of its relay."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_RELAYED: Final = 64 << 20
"""Bytes of one body, each way."""
MAX_TARGET: Final = 8 * 1024
"""Characters of a target."""
AT_ONCE: Final = 16
"""Requests of one attempt at a time."""
AT_ONCE_OF_AGENT: Final = 128
"""Requests of all attempts of one agent at a time."""
STALL: Final = 60.0
"""Seconds without a byte, either way, after which a request is given up."""
LONGEST: Final = 600.0
"""Seconds that one request may take."""

_CHARACTERS: Final = r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*"
_TARGET: Final = re.compile(rf"/{_CHARACTERS}(?:\?{_CHARACTERS.replace('/', '/?')})?")
"""A target in origin form (RFC 9112 §3.2.1) of the characters that a URL may have (RFC 3986)."""
_BROKEN: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SEPARATOR: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OF_ONE_HOP: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that hold between two programs only (RFC 9110 §7.6.1), or that each makes anew."""
_NEVER: Final = frozenset(
    {
        *("cookie", "cookie2", "set-cookie", "set-cookie2", "forwarded", "via", "x-real-ip"),
        # Some programs take the path from these, whatever was checked.
        *("x-original-url", "x-original-uri", "x-rewrite-url"),
    }
)
_NEVER_PREFIXES: Final = ("x-forwarded-", PREFIX.lower())
_OURS: Final = frozenset(name.removeprefix(PREFIX).lower() for name in (METHOD, TARGET, STATUS))
"""With the prefix they would be what agent and server say themselves."""


class TargetRefused(ValueError):
    """A request's target may not be relayed; the text is a sentence."""


def check_target(target: str) -> str:
    """The path of a target, as it was sent. TargetRefused for one that two programs could read in
    two ways: what leads elsewhere, whether or not it is decoded, once or twice."""
    if len(target) > MAX_TARGET:
        raise TargetRefused(f"the target has {len(target)} characters; at most {MAX_TARGET} go")
    if not _TARGET.fullmatch(target):
        raise TargetRefused(
            "the target is not a path of the characters that a URL may have, such as /items?page=2"
        )
    if _BROKEN.search(target):
        raise TargetRefused("the target has a % without two hexadecimal digits after it")
    path = target.partition("?")[0]
    inner = path[1:].split("/")
    for number, segment in enumerate(inner):
        if not segment and number < len(inner) - 1:
            raise TargetRefused("the path has two slashes in a row (//); leave one out")
        once = unquote(segment, "latin-1")
        for said in (once, unquote(once, "latin-1")):
            if _SEPARATOR.search(said):
                raise TargetRefused(
                    "the path has an encoded slash, backslash or control character in it"
                )
            # What follows a semicolon is a parameter of the segment for some servers.
            if said.partition(";")[0].strip() in (".", ".."):
                raise TargetRefused("the path has . or .. in it; give it without")
    return path


def is_below(path: str, prefix: str) -> bool:
    """Whether a path that was checked is the prefix, or below it; the prefix ends with a slash."""
    return path.startswith(prefix) or f"{path}/" == prefix


def passed_on(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of a message's headers that go to the other side of the relay."""
    given = list(headers)
    named = {
        name.strip().lower()
        for key, value in given
        if key.lower() == "connection"
        for name in value.split(",")
    }
    dropped = _OF_ONE_HOP | _NEVER | _OURS | named
    kept = []
    for name, value in given:
        # Programs behind CGI and WSGI see no difference between - and _.
        known = name.lower().replace("_", "-")
        if known not in dropped and not known.startswith(_NEVER_PREFIXES):
            kept.append((name, value))
    return kept


def wrapped(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers that mean something to the other side only."""
    return [(PREFIX + name, value) for name, value in passed_on(headers)]


def unwrapped(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What `wrapped` was given, out of all headers of a message; without what the other side should
    not have sent."""
    start = PREFIX.lower()
    found = [
        (name[len(PREFIX) :], value) for name, value in headers if name.lower().startswith(start)
    ]
    return passed_on((name, value) for name, value in found if _TOKEN.fullmatch(name))
