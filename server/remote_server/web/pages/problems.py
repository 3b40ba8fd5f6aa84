"""What a browser sees when something cannot be shown or done."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web

from remote_protocol.errors import ErrorCode
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages.rendering import go, render
from remote_server.web.route import Call

_LONGEST = 1000
"""Characters of an address to which a browser comes back after the sign-in."""


def wants_page(request: web.Request) -> bool:
    """Whether a browser asks, and not for a call of the API."""
    accept = request.headers.get("Accept", "")
    return not request.path.startswith("/api/") and "text/html" in accept


def problem_page(call: Call, problem: ApiProblem) -> web.Response:
    """The page for a problem: what is wrong and how to cure it. Who has to sign in is sent there,
    and comes back."""
    needs_sign_in = problem.code in (
        ErrorCode.MISSING_TOKEN,
        ErrorCode.INVALID_TOKEN,
        ErrorCode.EXPIRED_TOKEN,
    )
    if needs_sign_in and call.signed_in is None:
        asked = call.request.path_qs.lstrip("/")
        back = call.route.method == "GET" and not call.route.lasting and 0 < len(asked) < _LONGEST
        return go(call, f"login?next={quote(asked, safe='')}" if back else "login")
    title = HTTPStatus(problem.status).phrase
    answer = render(call, "problem.html", status=problem.status, title=title, problem=problem)
    answer.headers.update(problem.headers)
    return answer
