"""What is shown of webhooks."""

from __future__ import annotations

from pathlib import Path

from remote_protocol.api.webhooks import DeliveryState, WebhookCreate
from remote_server.domain.webhooks import Answer, Result
from remote_server.queries.webhooks import delivery_detail, delivery_view, webhook_view
from remote_server.store import Store
from tests.support.stored import NOW


async def test_what_is_the_matter_is_said(tmp_path: Path) -> None:
    store = await Store.open(str(tmp_path / "server.db"))
    wanted = {"name": "a", "url": "https://x.example", "events": ["job.ended"], "queues": ["q"]}
    made = await store.create_webhook(WebhookCreate.model_validate(wanted), "key", NOW)
    one = await store.put_test("a", NOW)
    view = await webhook_view(store, made, "key", NOW)
    assert (view.attention, view.pending, view.queues) == ("", 1, ["q"])
    other = await webhook_view(store, made, "another", NOW)
    assert "rotate-secret a" in other.attention
    again = Result(DeliveryState.PENDING, NOW + 5)
    await store.record_attempt(one, Answer(0.1, 500, "no"), again, NOW, 86400.0)
    failing = await webhook_view(store, await store.webhook("a"), "key", NOW + 120)
    assert failing.attention == "every attempt has failed for 2m"
    found = await store.delivery("a", one.id)
    assert delivery_view(found).error == "no" and delivery_detail(found).body == one.body
    await store.close()
