"""The calls about webhooks and their messages."""

from __future__ import annotations

from remote_client.modes import Awaiting, method
from remote_client.paths import given, segment
from remote_client.transport import Call, Document, Transport


class WebhookCalls(Awaiting):
    """A part of `CallMethods`."""

    _transport: Transport

    @method
    async def ask_webhook(self, name: str, what: str, body: Document | None = None) -> Document:
        """`test` a webhook, `rotate-secret`, or replay a message. Not repeated: it may be done."""
        path = f"/webhooks/{segment(name)}/{what}"
        return await self._transport.document(Call("POST", path, body=body, repeat=False))

    @method
    async def webhook_deliveries(self, /, name: str, **filters: object) -> Document:
        """One page of a webhook's messages, newest first."""
        path = f"/webhooks/{segment(name)}/deliveries"
        return await self._transport.document(Call("GET", path, given(**filters)))

    @method
    async def webhook_delivery(self, name: str, delivery: str) -> Document:
        """One message of a webhook with its body."""
        path = f"/webhooks/{segment(name)}/deliveries/{segment(delivery)}"
        return await self._transport.document(Call("GET", path))
