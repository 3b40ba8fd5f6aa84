"""Webhooks: create, list, show, change, delete, test; their messages: list, show, replay."""

from __future__ import annotations

import time

from aiohttp import web

from remote_protocol.api.bodies import Page
from remote_protocol.api.webhooks import (
    DeliveryDetail,
    DeliveryState,
    DeliveryView,
    SecretRotation,
    WebhookChange,
    WebhookCreate,
    WebhookCreated,
    WebhookView,
)
from remote_protocol.errors import ErrorCode
from remote_server.domain.webhooks import Webhook
from remote_server.queries.webhooks import delivery_detail, delivery_view, webhook_view
from remote_server.web.access import ADMIN
from remote_server.web.http.paging import decode, encode, page
from remote_server.web.route import Call, PageQuery, Route, answer, no_content


class DeliveryQuery(PageQuery):
    """The query of the list of messages."""

    state: DeliveryState | None = None


@Route(
    "POST",
    "/api/v1/webhooks",
    ADMIN,
    body=WebhookCreate,
    answer=WebhookCreated,
    status=201,
    action="webhook.create",
    gives=("Location",),
    refuses=(ErrorCode.CONFLICT, ErrorCode.UNKNOWN_QUEUE),
    example={
        "name": "chat",
        "url": "https://chat.example.com/hooks/jobs",
        "events": ["job.ended"],
        "states": ["failed"],
    },
)
async def create(call: Call) -> web.StreamResponse:
    """Create a webhook.

    The answer has its signing secret, which is never shown again.
    """
    body = await call.read(WebhookCreate)
    call.given = body.model_copy(update={"url": _SECRET})
    made = await call.services.store.create_webhook(
        body, call.services.signing_key.id, time.time(), by=call.principal
    )
    return answer(await _created(call, made), 201, {"Location": f"/api/v1/webhooks/{made.name}"})


@Route("GET", "/api/v1/webhooks", ADMIN, query=PageQuery, answer=Page[WebhookView])
async def list_webhooks(call: Call) -> web.StreamResponse:
    """List webhooks.

    By name.
    """
    query = call.query(PageQuery)
    chosen, following = page(
        await call.services.store.webhooks(), lambda hook: hook.name, query.limit, query.cursor
    )
    views = [await _view(call, hook) for hook in chosen]
    return answer(Page[WebhookView].model_construct(items=views, next_cursor=following))


@Route("GET", "/api/v1/webhooks/{name}", ADMIN, answer=WebhookView)
async def show(call: Call) -> web.StreamResponse:
    """Show a webhook."""
    return answer(await _view(call, await call.services.store.webhook(call.path("name"))))


@Route(
    "PATCH",
    "/api/v1/webhooks/{name}",
    ADMIN,
    body=WebhookChange,
    answer=WebhookView,
    action="webhook.update",
    refuses=(ErrorCode.CONFLICT, ErrorCode.UNKNOWN_QUEUE),
    example={"enabled": False},
)
async def change(call: Call) -> web.StreamResponse:
    """Change, enable or disable a webhook."""
    body = await call.read(WebhookChange)
    if body.url is not None:
        call.given = body.model_copy(update={"url": _SECRET})
    changed = await call.services.store.change_webhook(
        call.path("name"), body, time.time(), by=call.principal
    )
    return answer(await _view(call, changed))


@Route("DELETE", "/api/v1/webhooks/{name}", ADMIN, status=204, action="webhook.delete")
async def delete(call: Call) -> web.StreamResponse:
    """Delete a webhook.

    What waits is not sent any more.
    """
    await call.services.store.delete_webhook(call.path("name"), by=call.principal)
    return no_content()


@Route(
    "POST",
    "/api/v1/webhooks/{name}/rotate-secret",
    ADMIN,
    body=SecretRotation,
    body_optional=True,
    answer=WebhookCreated,
    action="webhook.rotate_secret",
    example={"grace": "1h"},
)
async def rotate_secret(call: Call) -> web.StreamResponse:
    """Give a webhook a new secret.

    For a while messages are signed with the former one, too.
    """
    body = await call.read(SecretRotation)
    rotated = await call.services.store.rotate_webhook_secret(
        call.path("name"),
        call.services.signing_key.id,
        time.time() + body.grace,
        by=call.principal,
    )
    return answer(await _created(call, rotated))


@Route(
    "POST",
    "/api/v1/webhooks/{name}/test",
    ADMIN,
    answer=DeliveryView,
    status=202,
    action="webhook.test",
    refuses=(ErrorCode.CONFLICT,),
)
async def test(call: Call) -> web.StreamResponse:
    """Send a test message.

    It is tried once; what came of it is in the message that the answer names.
    """
    made = await call.services.store.put_test(call.path("name"), time.time(), by=call.principal)
    return answer(delivery_view(made), 202)


@Route(
    "GET",
    "/api/v1/webhooks/{name}/deliveries",
    ADMIN,
    query=DeliveryQuery,
    answer=Page[DeliveryView],
)
async def list_deliveries(call: Call) -> web.StreamResponse:
    """List a webhook's messages.

    Newest first.
    """
    query = call.query(DeliveryQuery)
    before = None if query.cursor is None else decode(query.cursor)
    found = await call.services.store.deliveries(
        call.path("name"), query.limit + 1, before, query.state
    )
    chosen = found[: query.limit]
    following = encode(chosen[-1].id) if len(found) > query.limit else None
    views = [delivery_view(delivery) for delivery in chosen]
    return answer(Page[DeliveryView].model_construct(items=views, next_cursor=following))


@Route("GET", "/api/v1/webhooks/{name}/deliveries/{id}", ADMIN, answer=DeliveryDetail)
async def show_delivery(call: Call) -> web.StreamResponse:
    """Show a message with its body."""
    found = await call.services.store.delivery(call.path("name"), call.path("id"))
    return answer(delivery_detail(found))


@Route(
    "POST",
    "/api/v1/webhooks/{name}/deliveries/{id}/replay",
    ADMIN,
    answer=DeliveryView,
    status=202,
    action="webhook.replay",
    refuses=(ErrorCode.CONFLICT,),
)
async def replay(call: Call) -> web.StreamResponse:
    """Send a message again.

    It keeps its id: a receiver that has it already can drop it.
    """
    again = await call.services.store.replay(
        call.path("name"), call.path("id"), time.time(), by=call.principal
    )
    return answer(delivery_view(again), 202)


_SECRET = "…"
"""Instead of a URL in the server's log: many receivers tell who may send by a part of it."""


async def _view(call: Call, webhook: Webhook) -> WebhookView:
    services = call.services
    return await webhook_view(services.store, webhook, services.signing_key.id, time.time())


async def _created(call: Call, webhook: Webhook) -> WebhookCreated:
    secret = call.services.signing_key.secret(webhook.id, webhook.generation)
    view = await _view(call, webhook)
    return WebhookCreated.model_validate({**view.model_dump(), "secret": secret})
