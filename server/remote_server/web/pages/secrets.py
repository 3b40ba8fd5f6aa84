"""Secrets: all of them without their values, a form that sets one, and their deletion."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field

from remote_protocol.api.secrets import SecretPut, SecretValue
from remote_protocol.secret_names import SecretName
from remote_server.errors import Conflict, UnknownQueue
from remote_server.queries.secrets import secret_views
from remote_server.secrets.source import KeyUnusable
from remote_server.web.access import ADMIN
from remote_server.web.actions.secrets import HIDDEN, put_secret
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages.given import GivenQueues
from remote_server.web.pages.rendering import PageShown, as_faults, go, render
from remote_server.web.route import Call, PageForm, Route

_CONFLICT = 409
_UNPROCESSABLE = 422


class SecretForm(PageForm):
    """The form that sets a secret."""

    name: SecretName
    value: SecretValue
    queues: GivenQueues = Field(default=[])
    all_queues: bool = False


@Route("GET", "/secrets", ADMIN, page=True, query=PageShown)
async def all_secrets(call: Call) -> web.StreamResponse:
    """All secrets, and whose jobs get them."""
    call.query(PageShown)
    return await _list(call)


@Route("POST", "/secrets", ADMIN, page=True, body=SecretForm, action="secret.create")
async def put(call: Call) -> web.StreamResponse:
    """Create a secret, or replace its value."""
    try:
        form = call.form(SecretForm)
    except ApiProblem as problem:
        if not problem.errors:
            raise
        return await _list(call, problem.status, faults=as_faults(problem))
    call.given = form.model_copy(update={"value": HIDDEN})
    if form.all_queues and form.queues:
        said = "Name queues, or tick all of them: not both."
        return await _list(call, _UNPROCESSABLE, faults={"queues": said})
    scope: dict[str, Any] = {"queues": form.queues} if form.queues else {}
    wanted = SecretPut(value=form.value, **({"all_queues": True} if form.all_queues else scope))
    try:
        await put_secret(call, form.name, wanted)
    except UnknownQueue as error:
        return await _list(call, _UNPROCESSABLE, faults={"queues": str(error)})
    except (Conflict, KeyUnusable) as error:
        return await _list(call, _CONFLICT, faults={"value": str(error)})
    return go(call, "secrets", done="changed")


@Route("POST", "/secrets/{name}/delete", ADMIN, page=True, action="secret.delete")
async def delete(call: Call) -> web.StreamResponse:
    """Delete a secret; attempts that run keep what they were given."""
    await call.services.store.delete_secret(call.path("name"), by=call.principal)
    return go(call, "secrets", done="deleted")


async def _list(
    call: Call, status: int = 200, faults: dict[str, str] | None = None
) -> web.Response:
    views = secret_views(call.services.vault, await call.services.store.secrets())
    # What was typed is shown again, but for the value: no page has one.
    given = {} if faults is None else {k: v for k, v in call.given_form.items() if k != "value"}
    return render(
        call, "secrets.html", status=status, secrets=views, given=given, faults=faults or {}
    )
