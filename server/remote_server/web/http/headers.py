"""Request headers, bounded and checked in one place before anything is made of them. No I/O.

A header is printable ASCII here: aiohttp hands out other bytes as lone surrogates, which neither a
hash nor a database nor an answer in JSON takes.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from remote_protocol.errors import ErrorCode
from remote_server.web.http.problems import ApiProblem

LONGEST: Final = 2048
"""Characters of a header that means something to a call."""
_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_PLAIN: Final = frozenset({"", "identity"})


def header(request: web.BaseRequest, name: str, longest: int = LONGEST) -> str | None:
    """The value of a request header, None when it is missing.

    ApiProblem `bad_request` when it is longer than `longest` or not printable ASCII.
    """
    value: str | None = request.headers.get(name)
    if value is None:
        return None
    if len(value) > longest:
        raise ApiProblem(
            ErrorCode.BAD_REQUEST,
            f"the header {name} has {len(value)} characters; at most {longest} are taken",
        )
    if not _PRINTABLE.fullmatch(value):
        raise ApiProblem(
            ErrorCode.BAD_REQUEST, f"the header {name} holds something else than printable ASCII"
        )
    return value.strip()


def last_event_id(request: web.BaseRequest) -> int | None:
    """The number in a Last-Event-ID header, with which a browser resumes."""
    text = header(request, "Last-Event-ID", 64)
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise ApiProblem(
            ErrorCode.BAD_REQUEST, f"Last-Event-ID {text!r} is not a number of at most 18 digits"
        )
    return int(text)


def require_plain_body(request: web.BaseRequest) -> None:
    """ApiProblem `unsupported_encoding` for a body that is compressed, before anything is read.

    A few bytes may inflate to gigabytes, and no client of ours compresses.
    """
    for line in request.headers.getall("Content-Encoding", ()):
        for coding in line.split(","):
            if coding.strip().lower() not in _PLAIN:
                # RFC 9110 §15.5.16: the answer names what would be accepted.
                raise ApiProblem(
                    ErrorCode.UNSUPPORTED_ENCODING,
                    "bodies are taken uncompressed only: send it without Content-Encoding",
                    headers={"Accept-Encoding": "identity", "Connection": "close"},
                )


def came_by_tls(request: web.BaseRequest) -> bool:
    """Whether the client speaks TLS, to this server or to the proxy in front of it: what an answer
    says of its address depends on it, and never what somebody may do."""
    return request.secure or request.headers.get("X-Forwarded-Proto") == "https"
