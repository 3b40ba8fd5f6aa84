"""Errors as RFC 9457 problem details with a stable `code`. No I/O.

Every refusal of the API is an `ApiProblem`; what the store raises is translated here, in one
place. Anything else is our own bug: it is logged and shown as `internal`.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from remote_protocol.api.problems import Problem
from remote_protocol.errors import ErrorCode
from remote_server.domain.model import Token
from remote_server.errors import ServerError

MEDIA: Final = "application/problem+json"
SECURITY_HEADERS: Final = {
    "Server": "remote-server",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Headers of every answer. The product has no version there: not everybody needs to know it."""
MOST_FAULTS: Final = 50
"""Faults that one answer names; beyond them it says how many there are."""
_MOST_NAMED: Final = 5_000
"""pydantic puts all faults of a body into words, or none: this many take some 20 ms."""
STATUS: Final = {
    ErrorCode.BAD_MESSAGE: 400,
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.BODY_TOO_LARGE: 413,
    ErrorCode.CONFLICT: 409,
    ErrorCode.INPUT_GAP: 409,
    ErrorCode.CONTENT_GAP: 409,
    ErrorCode.CONTENT_MISSING: 422,
    ErrorCode.INTERNAL: 500,
    ErrorCode.INVALID_TOKEN: 401,
    ErrorCode.EXPIRED_TOKEN: 401,
    ErrorCode.USED_TOKEN: 401,
    ErrorCode.MISSING_TOKEN: 401,
    ErrorCode.WRONG_TOKEN_KIND: 403,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.UNKNOWN_QUEUE: 422,
    ErrorCode.UNKNOWN_AGENT: 422,
    ErrorCode.NAME_TAKEN: 409,
    ErrorCode.OVERLOADED: 503,
    ErrorCode.REQUEST_TIMEOUT: 408,
    ErrorCode.RELAY_FAILED: 502,
    ErrorCode.RELAY_TIMEOUT: 504,
    ErrorCode.STORE_UNAVAILABLE: 503,
    ErrorCode.TOO_MANY_REQUESTS: 429,
    ErrorCode.UNSUPPORTED_ENCODING: 415,
    ErrorCode.UNSUPPORTED_VERSION: 400,
    ErrorCode.VALIDATION: 422,
}
"""The HTTP status that goes with each code."""


class ApiProblem(Exception):
    """A refusal: `code` for programs, `detail` (cause and cure) for people."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        errors: Iterable[dict[str, str]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers or {}
        self.bearer: Token | None = None
        """Whose token it was that did not do."""

    def of(self, bearer: Token) -> ApiProblem:
        """The same, about the bearer of this token."""
        self.bearer = bearer
        return self

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return STATUS[self.code]

    def response(self) -> web.Response:
        """The problem as an HTTP answer."""
        headers = dict(self.headers)
        if self.status == 401:
            # RFC 9110 §11.6.1: a 401 says which scheme it wants; RFC 6750 §3 names the error.
            error = "" if self.code is ErrorCode.MISSING_TOKEN else ', error="invalid_token"'
            headers.setdefault("WWW-Authenticate", f'Bearer realm="remote-server"{error}')
        body = Problem(
            type=f"urn:remote-server:problem:{self.code}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            code=self.code,
            errors=self.errors,
        )
        return web.Response(
            body=body.model_dump_json().encode(),
            status=self.status,
            content_type=MEDIA,
            headers=headers,
        )


def not_found(kind: str, name: str) -> ApiProblem:
    """404 for one thing that does not exist."""
    return ApiProblem(ErrorCode.NOT_FOUND, f"there is no {kind} {name!r}")


def forbidden(detail: str) -> ApiProblem:
    """403: known, but not allowed."""
    return ApiProblem(ErrorCode.FORBIDDEN, detail)


def validation(faults: Iterable[tuple[str, str]]) -> ApiProblem:
    """422 that names the faults, as `(field, message)`, up to MOST_FAULTS of them."""
    found = list(faults)
    errors = [
        {"field": _cut(field, 200), "message": _cut(message, 500)}
        for field, message in found[:MOST_FAULTS]
    ]
    said = "; ".join(
        f"{fault['field']}: {fault['message']}" if fault["field"] else fault["message"]
        for fault in errors[:5]
    )
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return ApiProblem(ErrorCode.VALIDATION, said + more, errors=errors)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def from_validation(error: ValidationError, depth: int | None = None) -> ApiProblem:
    """What pydantic found wrong in a body or query; a body that is not JSON is a 400.

    Fields are named down to `depth` levels: 1 for a query, whose parameters are flat.
    """
    found: list[dict[str, Any]] = []
    if error.error_count() == 1:
        found = [dict(error.errors(include_url=False, include_input=False)[0])]
    if found and found[0]["type"] == "json_invalid":
        return ApiProblem(
            ErrorCode.BAD_REQUEST,
            f"the body is not JSON: {str(found[0]['msg']).removeprefix('Invalid JSON: ')}",
        )
    return validation(faults_of(error, depth))


def faults_of(error: ValidationError, depth: int | None = None) -> list[tuple[str, str]]:
    """Every fault as `(field, message)`; of more than can be named in a moment, their number."""
    count = error.error_count()
    if count > _MOST_NAMED:
        return [("", f"has {count} faults, too many to name: it is not what this call takes")]
    faults = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in fault["loc"][:depth])
        message = str(fault["msg"]).removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "unknown field"
        if not message[1:2].isupper():  # a name in capitals stays as it is
            message = message[:1].lower() + message[1:]
        faults.append((field, message))
    return faults


def from_server_error(error: ServerError) -> ApiProblem | None:
    """The problem for an error of another room; None when it is no fault of the request."""
    if error.code is ErrorCode.INTERNAL:
        return None
    passes = error.code is ErrorCode.STORE_UNAVAILABLE
    wait = {"Retry-After": str(error.retry_after)} if passes else None
    return ApiProblem(error.code, str(error), headers=wait)


def from_http_exception(error: web.HTTPException, request: web.Request) -> ApiProblem | None:
    """The problem for an exception that aiohttp itself raises; None for other statuses."""
    if error.status == 404:
        return ApiProblem(
            ErrorCode.NOT_FOUND,
            f"there is no {request.path}; the API is described at /api/v1/openapi.json",
        )
    if error.status == 405 and isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return ApiProblem(
            ErrorCode.METHOD_NOT_ALLOWED,
            f"{request.path} does not take {request.method}; it takes {allowed}",
            headers={"Allow": allowed},
        )
    if error.status == 413:
        return ApiProblem(ErrorCode.BODY_TOO_LARGE, "the body is too large")
    if 400 <= error.status < 500:
        return ApiProblem(ErrorCode.BAD_REQUEST, error.text or error.reason)
    return None
