"""Turns templates into answers: what every page has around its subject, and its headers.

Links are relative to the root of the pages, so that they hold under any path that a proxy puts in
front. Reads templates, once.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from pydantic import Field

import remote_server
from remote_protocol.ids import Role
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages import job_words, webhook_words, words
from remote_server.web.pages.assets import address
from remote_server.web.route import CSRF, Call, Query

if TYPE_CHECKING:
    from jinja2 import Environment

THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "remote_theme"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    # `same-origin`: without a referrer, a browser would not say where a form was sent from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class PageShown(Query):
    """The query of every page; some add to it."""

    done: str = Field(default="", max_length=32)
    """What was done before; a word of words.DONE."""


@cache
def _environment() -> Environment:
    """The templates. Made at the first page: a server that shows none does not import them."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("remote_server.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words.FILTERS | job_words.FILTERS | webhook_words.FILTERS)
    environment.globals.update(version=remote_server.__version__, csrf_field=CSRF)
    return environment


def root_of(call: Call) -> str:
    """The relative address of the root of the pages, as seen from this one."""
    # A slash within a name, `%2F`, is none to a browser.
    return "../" * (call.request.rel_url.raw_path.count("/") - 1) or "./"


def render(call: Call, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page."""
    request, signed_in = call.request, call.signed_in
    theme = request.cookies.get(THEME_COOKIE, THEMES[0])
    root = root_of(call)
    text = (
        _environment()
        .get_template(template)
        .render(
            root=root,
            asset=lambda name: root + address(name),
            host=request.host,
            theme=theme if theme in THEMES else THEMES[0],
            figures=call.figures,
            user=None if signed_in is None else signed_in.token,
            limited_to=()
            if signed_in is None or not signed_in.token.limited
            else signed_in.token.queues,
            csrf="" if signed_in is None else signed_in.csrf,
            may=lambda role: signed_in is not None and may(call, Role(role)),
            done=words.DONE.get(request.query.get("done", ""), ""),
            **values,
        )
    )
    answer = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
    answer.headers.update(HEADERS)
    return answer


def may(call: Call, role: Role) -> bool:
    """Whether whoever looks has this role: pages show only what can be done."""
    return call.role.includes(role)


def go(call: Call, path: str, done: str = "") -> web.Response:
    """Send the browser to another page of ours, `path` relative to the root; `done` names what to
    say there (words.DONE)."""
    joined = "&" if "?" in path else "?"
    said = f"{joined}done={done}" if done else ""
    location = f"{root_of(call)}{path}{said}"
    return web.Response(
        status=HTTPStatus.SEE_OTHER,
        headers={"Location": location, **HEADERS},
        text=f"See {location}\nPrograms use the API: {root_of(call)}api/v1/openapi.json\n",
    )


def as_faults(problem: ApiProblem) -> dict[str, str]:
    """What is wrong with each field of a form."""
    return {fault["field"]: fault["message"] for fault in problem.errors}
