"""What the audit is told of calls that were refused, and of those that it tells once a minute.

A call without any token is no attempt to be somebody: of those, only the ones that would change
something are told.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from aiohttp import web

from remote_protocol.errors import ErrorCode
from remote_server.domain.audit import Entry
from remote_server.domain.model import Principal, Token
from remote_server.errors import ServerError
from remote_server.networks import network
from remote_server.web.http.problems import ApiProblem
from remote_server.web.route import Call

ACCESS: Final = "access"
"""The action of a call that only asks, and may not."""
_BARRED: Final = frozenset(
    {
        ErrorCode.INVALID_TOKEN,
        ErrorCode.EXPIRED_TOKEN,
        ErrorCode.USED_TOKEN,
        ErrorCode.WRONG_TOKEN_KIND,
        ErrorCode.FORBIDDEN,
    }
)
"""Who asks may not."""
_REFUSED: Final = _BARRED | {
    ErrorCode.MISSING_TOKEN,
    ErrorCode.CONFLICT,
    ErrorCode.NAME_TAKEN,
    ErrorCode.NOT_FOUND,
    ErrorCode.UNKNOWN_AGENT,
    ErrorCode.UNKNOWN_QUEUE,
}
"""What would have changed something, and did not. Mistakes of form are not told."""
_PARTS: Final = ("name", "id")


def refusal(call: Call, error: Exception) -> tuple[Hashable, Entry] | None:
    """What the audit is told, and which refusals count as the same; None: nothing."""
    if not isinstance(error, ApiProblem | ServerError):
        return None
    route, request, code = call.route, call.request, error.code
    if code not in (_REFUSED if route.action else _BARRED):
        return None
    address = request.remote or ""
    bearer = error.bearer if isinstance(error, ApiProblem) else None
    by = _whoever(call.caller or bearer, address)
    kind: Hashable = (route.action or ACCESS, str(code), by.id or network(address))
    if route.action:
        subject = _subject(request, call)
        return kind, Entry(by, route.action, _family(route.action), subject, {}, str(code))
    asked = f"{request.method} {request.path}"
    return kind, Entry(by, ACCESS, "call", asked, {}, str(code))


def audited(call: Call, subject: str = "") -> bool:
    """Whether the audit is to tell what this call does as it is done: of what a host or a browser
    can do in a loop, it tells the first one, and then how many there were in a minute."""
    action, by = call.route.action, call.principal
    entry = Entry(by, action, _family(action), subject)
    return call.services.trail.admits((action, by.id, network(by.address), subject), entry)


def _whoever(bearer: Token | None, address: str) -> Principal:
    if bearer is not None:
        return bearer.used_from(address)
    return Principal("", "", address, "unknown")


def _family(action: str) -> str:
    return action.partition(".")[0]


def _subject(request: web.Request, call: Call) -> str:
    """What it would have been done to: as the path names it, or the body."""
    for part in _PARTS:
        if part in request.match_info:
            return request.match_info[part]
    return str(getattr(call.given, "name", None) or "")
