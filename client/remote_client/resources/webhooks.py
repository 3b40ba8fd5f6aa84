"""Webhooks and their messages: show, list, create, change, delete, test, replay."""

from __future__ import annotations

from remote_client.modes import method
from remote_client.resources.base import Resource, body_of
from remote_protocol.api.bodies import Page
from remote_protocol.api.webhooks import (
    DeliveryDetail,
    DeliveryView,
    WebhookChange,
    WebhookCreate,
    WebhookCreated,
    WebhookView,
)


class WebhookMethods(Resource):
    """Calls about webhooks."""

    @method
    async def webhooks(self) -> list[WebhookView]:
        """All webhooks."""
        return self._view(Page[WebhookView], await self._calls.every("webhooks")).items

    @method
    async def webhook(self, name: str) -> WebhookView:
        """One webhook."""
        return self._view(WebhookView, await self._calls.one("webhooks", name))

    @method
    async def create_webhook(self, webhook: WebhookCreate) -> WebhookCreated:
        """Make a webhook; its secret is in the answer, and nowhere else."""
        return self._view(WebhookCreated, await self._calls.create("webhooks", body_of(webhook)))

    @method
    async def change_webhook(self, name: str, change: WebhookChange) -> WebhookView:
        """Change a webhook; fields that are not set stay."""
        return self._view(WebhookView, await self._calls.change("webhooks", name, body_of(change)))

    @method
    async def rotate_webhook_secret(self, name: str, grace: float = 86400.0) -> WebhookCreated:
        """A new secret; messages are signed with the former one, too, for `grace` seconds."""
        body = {"grace": grace}
        return self._view(
            WebhookCreated, await self._calls.ask_webhook(name, "rotate-secret", body=body)
        )

    @method
    async def test_webhook(self, name: str) -> DeliveryView:
        """Send a test message; what comes of it is in `webhook_delivery`."""
        return self._view(DeliveryView, await self._calls.ask_webhook(name, "test"))

    @method
    async def webhook_deliveries(
        self, name: str, *, state: str | None = None, limit: int = 100
    ) -> list[DeliveryView]:
        """The newest messages of a webhook, or those in a state."""
        document = await self._calls.webhook_deliveries(name, state=state, limit=limit)
        return self._view(Page[DeliveryView], document).items

    @method
    async def webhook_delivery(self, name: str, delivery: str) -> DeliveryDetail:
        """One message with its body."""
        return self._view(DeliveryDetail, await self._calls.webhook_delivery(name, delivery))

    @method
    async def replay_webhook_delivery(self, name: str, delivery: str) -> DeliveryView:
        """Send a message again, with the same id."""
        return self._view(
            DeliveryView, await self._calls.ask_webhook(name, f"deliveries/{delivery}/replay")
        )

    @method
    async def delete_webhook(self, name: str) -> None:
        """Remove a webhook."""
        await self._calls.delete("webhooks", name)
