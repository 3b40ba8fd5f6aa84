"""The API as pages: all its calls, and one of them with its fields and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache

from aiohttp import web
from pydantic import Field

from remote_server.web.access import VIEWER
from remote_server.web.http.problems import not_found
from remote_server.web.openapi.document import PATH
from remote_server.web.openapi.reference import Reference, read
from remote_server.web.pages.rendering import PageShown, render
from remote_server.web.route import Call, Route


class ReferenceQuery(PageShown):
    """The query of the list of calls."""

    q: str = Field(default="", max_length=200)
    """Words that a call has in its path, its description or its fields."""


@Route("GET", "/docs/api", VIEWER, page=True, query=ReferenceQuery)
async def api_reference(call: Call) -> web.StreamResponse:
    """All calls of the API, or those that have some words."""
    words = call.query(ReferenceQuery).q.strip()
    reference = await _reference(call)
    return render(
        call,
        "api.html",
        reference=reference,
        groups=reference.find(words),
        words=words,
        document=PATH.lstrip("/"),
    )


@Route("GET", "/docs/api/{operation}", VIEWER, page=True, query=PageShown)
async def api_operation(call: Call) -> web.StreamResponse:
    """One call of the API."""
    call.query(PageShown)
    name = call.path("operation")
    found = (await _reference(call)).operation(name)
    if found is None:
        raise not_found("call", name)
    return render(call, "api_operation.html", operation=found)


async def _reference(call: Call) -> Reference:
    # The first look makes the document, too: too long for the loop.
    return await asyncio.to_thread(_read, call.services.description)


@cache
def _read(description: Callable[[], bytes]) -> Reference:
    return read(description())
