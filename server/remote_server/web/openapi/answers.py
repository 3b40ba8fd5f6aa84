"""What a call may answer: its successes and every refusal, by status. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import TokenKind
from remote_server.web.http.problems import MEDIA, STATUS
from remote_server.web.route import JSON, Route

_ANY: Final = (
    ErrorCode.BAD_REQUEST,
    ErrorCode.UNSUPPORTED_ENCODING,
    ErrorCode.INTERNAL,
    ErrorCode.STORE_UNAVAILABLE,
    ErrorCode.OVERLOADED,
)
_GUARDED: Final = (
    ErrorCode.MISSING_TOKEN,
    ErrorCode.INVALID_TOKEN,
    ErrorCode.EXPIRED_TOKEN,
    ErrorCode.WRONG_TOKEN_KIND,
    ErrorCode.FORBIDDEN,
    ErrorCode.TOO_MANY_REQUESTS,
)
_WITH_BODY: Final = (
    ErrorCode.REQUEST_TIMEOUT,
    ErrorCode.BODY_TOO_LARGE,
    ErrorCode.TOO_MANY_REQUESTS,
)
_WHEN: Final = {
    ErrorCode.BAD_REQUEST: "the body is not JSON, nothing in `Accept` can be given, or a header "
    "is too long or no printable ASCII",
    ErrorCode.MISSING_TOKEN: "there is no token",
    ErrorCode.INVALID_TOKEN: "the token is unknown or revoked",
    ErrorCode.EXPIRED_TOKEN: "the token has expired",
    ErrorCode.USED_TOKEN: "the registration token has no uses left",
    ErrorCode.WRONG_TOKEN_KIND: "the token is of another kind; the answer names those taken",
    ErrorCode.FORBIDDEN: "the token's role, or its queues, do not suffice",
    ErrorCode.NOT_FOUND: "there is no such thing",
    ErrorCode.REQUEST_TIMEOUT: "the body came too slowly",
    ErrorCode.CONFLICT: "it contradicts what is stored",
    ErrorCode.NAME_TAKEN: "another one has that name",
    ErrorCode.CONTENT_GAP: "bytes of the content before those sent are missing",
    ErrorCode.CONTENT_MISSING: "the job names content that this token has not sent",
    ErrorCode.INPUT_GAP: "bytes of the input before those sent are missing",
    ErrorCode.BODY_TOO_LARGE: "the body is too large",
    ErrorCode.UNSUPPORTED_ENCODING: "the body is compressed: none is inflated",
    ErrorCode.VALIDATION: "the body or the query is not valid; `errors` names the faults",
    ErrorCode.UNKNOWN_QUEUE: "a queue does not exist; the answer names those that do",
    ErrorCode.UNKNOWN_AGENT: "an agent does not exist; the answer names those that do",
    ErrorCode.TOO_MANY_REQUESTS: "too many bodies or streams of this token, or too many wrong "
    "tokens from this address",
    ErrorCode.INTERNAL: "a mistake of the server's",
    ErrorCode.RELAY_FAILED: "the program behind a relay gives no answer that can be passed on",
    ErrorCode.RELAY_TIMEOUT: "nothing was heard of the program behind a relay for too long",
    ErrorCode.STORE_UNAVAILABLE: "the database or its disk is away, or the server stops",
    ErrorCode.OVERLOADED: "too many connections, bodies or streams",
}
"""By code when a call answers with it; whatever a call answers with is here."""
_HEADERS: Final = {
    "Location": "The path of what was made",
    "Remote-Attempt": "Number of the attempt whose log this is; 0: there is none yet",
    "Remote-Log-Size": "Bytes of the log that were stored when the answer began",
    "Remote-Log-Over": "`true`: nothing more will come",
    "Remote-Log-Offset": "Where in all that was ever sent the answer begins",
    "ETag": "Names the content; a later `If-Range` says that it must be the same",
    "Content-Range": "Which bytes these are, where a range was asked for",
    "Remote-Artifact-Sha256": "SHA-256 of the whole file",
    "Remote-Artifact-Size": "Bytes of the whole file",
    "Relayed-Status": "Status of the answer of the program behind the relay; its headers have the "
    "prefix `Relayed-`, too",
    "Retry-After": "Seconds after which the same may succeed",
    "WWW-Authenticate": "The scheme that is wanted (RFC 6750)",
}
_WITH_HEADERS: Final = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


def refusals(route: Route) -> list[ErrorCode]:
    """Every code with which a call may answer, in the order of their statuses."""
    found = {*_ANY, *route.refuses}
    if route.access.kinds:
        found.update(_GUARDED)
    if TokenKind.REGISTRATION in route.access.kinds:
        found.add(ErrorCode.USED_TOKEN)
    if "{" in route.path:
        found.add(ErrorCode.NOT_FOUND)
    if route.body or route.takes:
        found.update(_WITH_BODY)
    if route.body or route.query:
        found.add(ErrorCode.VALIDATION)
    return sorted(found, key=lambda code: (STATUS[code], code))


def responses(route: Route, schema: dict[str, Any]) -> dict[str, Any]:
    """The answers of a call; `schema` is that of its JSON."""
    found = {str(route.status): _success(route, schema, route.summary)}
    for status, when in route.also:
        found[str(status)] = _success(route, schema, when)
    for code in refusals(route):
        status = STATUS[code]
        found[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return dict(sorted(found.items()))


def _success(route: Route, schema: dict[str, Any], words: str) -> dict[str, Any]:
    found: dict[str, Any] = {"description": words}
    if route.answer:
        found["content"] = {JSON: {"schema": schema}}
    elif route.media:
        found["content"] = {
            media: {"schema": {"type": "object" if media == JSON else "string"}}
            for media in route.media
        }
    if route.gives:
        found["headers"] = headers(route.gives)
    return found


def headers(names: Iterable[str]) -> dict[str, Any]:
    """Headers of an answer, described."""
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}


def problems(schema: dict[str, Any]) -> dict[str, Any]:
    """The refusals that calls share, by name; `schema` is that of a problem."""
    statuses = sorted({STATUS[code] for code in _WHEN})
    return {f"Problem{status}": _problem(status, schema) for status in statuses}


def _problem(status: int, schema: dict[str, Any]) -> dict[str, Any]:
    codes = [code for code in _WHEN if STATUS[code] == status]
    said = "; ".join(f"`{code}`: {_WHEN[code]}" for code in codes)
    found: dict[str, Any] = {
        "description": said,
        "content": {MEDIA: {"schema": schema}},
    }
    if status in _WITH_HEADERS:
        found["headers"] = headers(_WITH_HEADERS[status])
    return found
