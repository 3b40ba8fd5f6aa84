"""Secrets: set, list, show, change who gets them, delete. No answer has a value."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web

from remote_protocol.api.bodies import Page
from remote_protocol.api.secrets import MAX_SECRET, SecretChange, SecretPut, SecretView
from remote_protocol.errors import ErrorCode
from remote_server.domain.secrets import Scope
from remote_server.queries.secrets import secret_views
from remote_server.web.access import ADMIN, OPERATOR
from remote_server.web.actions.secrets import HIDDEN, put_secret, scope_of
from remote_server.web.http.paging import page
from remote_server.web.route import Call, PageQuery, Route, answer, no_content

_LARGEST: Final = 6 * MAX_SECRET + 16 * 1024
"""Bytes of a body: JSON may have six for one of the value, and there are the names of queues."""


@Route(
    "PUT",
    "/api/v1/secrets/{name}",
    ADMIN,
    body=SecretPut,
    answer=SecretView,
    largest=_LARGEST,
    action="secret.create",
    also=((201, "It is new"),),
    refuses=(ErrorCode.CONFLICT, ErrorCode.UNKNOWN_QUEUE),
    example={"value": "correct horse battery staple", "queues": ["berlin"]},
)
async def put(call: Call) -> web.StreamResponse:
    """Create a secret, or replace its value.

    No call shows the value. Attempts that start from now on get it.
    """
    body = await call.read(SecretPut)
    call.given = body.model_copy(update={"value": HIDDEN})
    secret, new = await put_secret(call, call.path("name"), body)
    return answer(secret_views(call.services.vault, [secret])[0], 201 if new else 200)


@Route("GET", "/api/v1/secrets", OPERATOR, query=PageQuery, answer=Page[SecretView])
async def list_secrets(call: Call) -> web.StreamResponse:
    """List secrets, without their values.

    By name.
    """
    query = call.query(PageQuery)
    chosen, following = page(
        await call.services.store.secrets(), lambda secret: secret.name, query.limit, query.cursor
    )
    views = secret_views(call.services.vault, chosen)
    return answer(Page[SecretView].model_construct(items=views, next_cursor=following))


@Route("GET", "/api/v1/secrets/{name}", OPERATOR, answer=SecretView)
async def show(call: Call) -> web.StreamResponse:
    """Show a secret, without its value."""
    secret = await call.services.store.secret(call.path("name"))
    return answer(secret_views(call.services.vault, [secret])[0])


@Route(
    "PATCH",
    "/api/v1/secrets/{name}",
    ADMIN,
    body=SecretChange,
    answer=SecretView,
    action="secret.update",
    refuses=(ErrorCode.UNKNOWN_QUEUE,),
    example={"queues": ["berlin", "default"]},
)
async def change(call: Call) -> web.StreamResponse:
    """Change which queues' jobs get a secret.

    Its value stays.
    """
    scope = scope_of(await call.read(SecretChange)) or Scope(
        (await call.services.store.default_queue(),)
    )
    secret = await call.services.store.change_secret(
        call.path("name"), scope, time.time(), by=call.principal
    )
    return answer(secret_views(call.services.vault, [secret])[0])


@Route("DELETE", "/api/v1/secrets/{name}", ADMIN, status=204, action="secret.delete")
async def delete(call: Call) -> web.StreamResponse:
    """Delete a secret.

    Attempts that run keep what they were given.
    """
    await call.services.store.delete_secret(call.path("name"), by=call.principal)
    return no_content()
