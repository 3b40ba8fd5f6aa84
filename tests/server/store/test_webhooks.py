"""Webhooks on a real database."""

from __future__ import annotations

import pytest

from remote_protocol.api.webhooks import WebhookChange, WebhookCreate
from remote_server.domain.webhooks import MOST
from remote_server.errors import Conflict, NotFound
from remote_server.store import Store
from tests.support.stored import NOW


def wanted(name: str = "a", **fields: object) -> WebhookCreate:
    body = {"name": name, "url": "https://x.example", "events": ["job.ended"], **fields}
    return WebhookCreate.model_validate(body)


async def test_what_is_stored_is_found(store: Store) -> None:
    made = await store.create_webhook(wanted(queues=["x"], job_name="b*"), "key", NOW)
    assert await store.webhook("a") == made
    assert (made.rule.queues, made.key_id, made.secrets(NOW)) == (["x"], "key", [1])
    assert await store.webhooks() == [made] == await store.enabled_webhooks()
    with pytest.raises(Conflict, match="already"):
        await store.create_webhook(wanted(), "key", NOW)
    await store.delete_webhook("a")
    with pytest.raises(NotFound):
        await store.webhook("a")
    with pytest.raises(NotFound):
        await store.delete_webhook("a")


async def test_a_change_leaves_the_rest(store: Store) -> None:
    await store.create_webhook(wanted(queues=["x"], job_name="b*"), "key", NOW)
    change = WebhookChange.model_validate({"url": "https://y.example", "job_name": None})
    changed = await store.change_webhook("a", change, NOW)
    assert (changed.url, changed.rule.job_name) == ("https://y.example", None)
    assert (changed.rule.queues, changed.enabled) == (["x"], True)
    assert await store.webhook("a") == changed
    disabled = await store.change_webhook("a", WebhookChange(enabled=False), NOW)
    assert not disabled.enabled and await store.enabled_webhooks() == []
    again = await store.change_webhook("a", WebhookChange(enabled=True), NOW + 5)
    assert again.enabled and again.active_since == NOW + 5


async def test_two_secrets_sign_for_a_while(store: Store) -> None:
    await store.create_webhook(wanted(), "key", NOW)
    rotated = await store.rotate_webhook_secret("a", "key", NOW + 10)
    assert rotated.secrets(NOW) == [2, 1] and rotated.secrets(NOW + 10) == [2]
    other = await store.rotate_webhook_secret("a", "other", NOW + 10)
    assert (other.key_id, other.secrets(NOW)) == ("other", [3])


async def test_there_are_not_too_many(store: Store) -> None:
    for number in range(MOST):
        await store.create_webhook(wanted(f"h{number}"), "key", NOW)
    with pytest.raises(Conflict, match="delete one first"):
        await store.create_webhook(wanted(), "key", NOW)
