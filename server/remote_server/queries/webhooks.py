"""What is shown of webhooks and their messages."""

from __future__ import annotations

from typing import Any

from remote_protocol.api.webhooks import DeliveryDetail, DeliveryView, WebhookView
from remote_protocol.units import format_duration
from remote_server.domain.webhooks import Delivery, Webhook
from remote_server.queries.views import when, when_if
from remote_server.store import Store

_MOST_COUNTED = 10_000


async def webhook_view(store: Store, webhook: Webhook, key_id: str, now: float) -> WebhookView:
    """A webhook as shown; `key_id` is of the key that this server has."""
    pending = await store.count_waiting(webhook.id, _MOST_COUNTED)
    return WebhookView.model_validate(
        {
            "id": webhook.id,
            "name": webhook.name,
            "url": webhook.url,
            **webhook.rule.model_dump(),
            "enabled": webhook.enabled,
            "disabled_reason": webhook.disabled_reason,
            "attention": _attention(webhook, key_id, now),
            "created_at": when(webhook.created_at),
            "pending": pending,
            "dropped": webhook.dropped,
            "delivered_at": when_if(webhook.delivered_at),
            "failing_since": when_if(webhook.failing_since),
        }
    )


def _attention(webhook: Webhook, key_id: str, now: float) -> str:
    if webhook.key_id != key_id:
        return (
            "made with another signing key than this server's, so that nothing can be sent: "
            "restore that key, or make a new secret: "
            f"remotectl webhook rotate-secret {webhook.name}"
        )
    if webhook.enabled and webhook.failing_since is not None:
        taken = format_duration(max(1, int(now - webhook.failing_since)))
        return f"every attempt has failed for {taken}"
    return ""


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A message as shown in lists."""
    return DeliveryView.model_construct(**_values(delivery))


def delivery_detail(delivery: Delivery) -> DeliveryDetail:
    """A message with what was sent."""
    return DeliveryDetail.model_construct(**_values(delivery), body=delivery.body)


def _values(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "type": delivery.type,
        "subject": delivery.subject,
        "state": delivery.state,
        "created_at": when(delivery.created_at),
        "attempts": delivery.attempts,
        "next_at": when_if(delivery.next_at),
        "last_at": when_if(delivery.last_at),
        "status": delivery.status,
        "seconds": delivery.seconds,
        "error": delivery.error,
    }
