"""Confirming the login of a program, by who is signed in."""

from __future__ import annotations

from typing import Final, Literal

from aiohttp import web
from pydantic import Field

from remote_protocol.ids import Role
from remote_server.errors import NotFound
from remote_server.store.logins import Login
from remote_server.web.access import VIEWER
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages.rendering import PageShown, render
from remote_server.web.program_logins import as_code, shown
from remote_server.web.route import Call, PageForm, Route

_DAY: Final = 86400.0
DAYS: Final = {"1": "a day", "7": "a week", "30": "30 days", "90": "90 days"}


class ConfirmQuery(PageShown):
    """The query of the confirmation."""

    code: str = Field(default="", max_length=32)


class ConfirmForm(PageForm):
    """The form of the confirmation."""

    code: str = Field(max_length=32)
    answer: Literal["confirm", "refuse"] = "refuse"
    role: Role = Role.VIEWER
    days: Literal["1", "7", "30", "90"] = "7"


@Route("GET", "/confirm", VIEWER, page=True, query=ConfirmQuery)
async def show(call: Call) -> web.StreamResponse:
    """The login that waits with a code; without one, the field for it."""
    code = call.query(ConfirmQuery).code
    if not as_code(code):
        return _page(call)
    login = await call.services.program_logins.find(code, call.request.remote or "")
    return _page(call, code=shown(as_code(code)), login=login)


@Route("POST", "/confirm", VIEWER, page=True, body=ConfirmForm, action="login.confirm")
async def decide(call: Call) -> web.StreamResponse:
    """Confirm the login of a program, or refuse it."""
    form = call.form(ConfirmForm)
    role = form.role if form.answer == "confirm" else None
    try:
        await call.services.program_logins.decide(
            form.code, call.token, call.request.remote or "", role, int(form.days) * _DAY
        )
    except NotFound as error:
        raise ApiProblem(error.code, "somebody decided about this login meanwhile") from None
    return _page(call, decided=form.answer)


def _page(
    call: Call, *, code: str = "", login: Login | None = None, decided: str = ""
) -> web.Response:
    roles = [role for role in Role if call.role.includes(role)]
    # As little as the program asks for: whoever only clicks gives away nothing more.
    asked = Role(login.role) if login and login.role else Role.VIEWER
    first = asked if asked in roles else call.role
    return render(
        call,
        "confirm.html",
        code=code,
        login=login,
        decided=decided,
        roles=roles,
        first=first,
        days=DAYS,
    )
