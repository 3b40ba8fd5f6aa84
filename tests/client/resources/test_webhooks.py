"""Webhooks by both clients."""

from __future__ import annotations

from typing import Any

from remote_protocol.api.webhooks import WebhookChange, WebhookCreate, WebhookEvent
from tests.support.fake_api import NOW, Answer, FakeApi

ID = "01M7YFNZ7G4HK7EAPK0XJPWFEK"


def test_webhooks(api: FakeApi, both: Any) -> None:
    view: dict[str, Any] = {
        "id": ID, "name": "a", "url": "https://x.example", "events": ["job.ended"],
        "created_at": NOW,
    }  # fmt: skip
    message = {
        "id": ID, "type": "webhook.test", "subject": "a", "state": "pending", "created_at": NOW,
        "body": "{}",
    }  # fmt: skip
    api.on("POST", "/webhooks", Answer({**view, "secret": "whsec_x"}, 201))
    wanted = WebhookCreate(name="a", url=view["url"], events=[WebhookEvent.JOB_ENDED])
    assert both.create_webhook(wanted).secret == "whsec_x"
    assert api.calls[0].body == {k: view[k] for k in ("name", "url", "events")}
    api.on("GET", "/webhooks", {"items": [view]})
    api.on("GET", "/webhooks/a", view)
    assert [hook.name for hook in both.webhooks()] == [both.webhook("a").name]
    api.on("PATCH", "/webhooks/a", {**view, "enabled": False})
    assert not both.change_webhook("a", WebhookChange(enabled=False)).enabled
    api.on("POST", "/webhooks/a/rotate-secret", {**view, "secret": "whsec_y"})
    assert both.rotate_webhook_secret("a", 60.0).secret == "whsec_y"
    api.on("POST", "/webhooks/a/test", Answer(message, 202))
    assert both.test_webhook("a").id == ID
    api.on("GET", "/webhooks/a/deliveries", {"items": [message]})
    assert [one.id for one in both.webhook_deliveries("a", state="pending")] == [ID]
    api.on("GET", f"/webhooks/a/deliveries/{ID}", message)
    assert both.webhook_delivery("a", ID).body == "{}"
    api.on("POST", f"/webhooks/a/deliveries/{ID}/replay", Answer(message, 202))
    assert both.replay_webhook_delivery("a", ID).state == "pending"
    api.on("DELETE", "/webhooks/a", Answer(None, 204))
    both.delete_webhook("a")
