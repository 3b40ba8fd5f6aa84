"""What pages say of webhooks and their messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from remote_protocol.api.webhooks import DeliveryView, WebhookEvent, WebhookView
from remote_server.web.pages import webhook_words as words

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ID = "01M7YFNZ7G4HK7EAPK0XJPWFEK"


def hook(**fields: Any) -> WebhookView:
    given = {"id": ID, "name": "alarm", "url": "https://example.com:8443/k/secret?x=1"}
    return WebhookView.model_validate(
        {**given, "events": ["job.ended"], "created_at": NOW, **fields}
    )


def delivery(**fields: Any) -> DeliveryView:
    given = {"id": ID, "type": "job.ended", "subject": ID, "state": "pending", "created_at": NOW}
    return DeliveryView.model_validate({**given, **fields})


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, ("healthy", "enabled")),
        ({"failing_since": NOW, "attention": "every attempt has failed"}, ("error", "failing")),
        ({"attention": "made with another signing key"}, ("warning", "cannot send")),
        ({"enabled": False, "failing_since": NOW}, ("paused", "disabled")),
    ],
)
def test_how_a_webhook_is(fields: dict[str, Any], state: tuple[str, str]) -> None:
    assert words.condition(hook(**fields)) == state


def test_which_of_its_events_it_tells() -> None:
    assert words.narrowed(hook()) == ""
    narrow = hook(
        queues=["a", "b"],
        job_name="backup-*",
        agent_name="web-?",
        states=["failed"],
        end_reasons=["memory_limit", "lost"],
    )
    assert words.narrowed(narrow) == (
        "queue a or b; job name backup-*; agent name web-?; state failed; "
        "end reason memory limit or lost"
    )


def test_of_a_url_only_the_host_is_shown() -> None:
    assert words.receiver(hook()) == "example.com:8443"


@pytest.mark.parametrize(
    ("type_", "subject", "page"),
    [
        ("job.ended", ID, f"jobs/{ID}"),
        ("agent.offline", "web-1", "agents/web-1"),
        ("queue.served", "gpu", "queues/gpu"),
        ("webhook.test", "alarm", ""),
    ],
)
def test_the_page_of_what_it_is_about(type_: str, subject: str, page: str) -> None:
    assert words.subject_page(delivery(type=type_, subject=subject)) == page


def test_what_became_of_a_message() -> None:
    assert words.delivery_state(delivery()) == ("queued", "waits")
    assert words.delivery_state(delivery(attempts=2)) == ("queued", "is tried again")
    assert words.delivery_state(delivery(state="delivered")) == ("succeeded", "delivered")
    assert words.delivery_state(delivery(state="failed")) == ("failed", "failed")


def test_every_event_has_words() -> None:
    assert set(words.EVENTS) == set(WebhookEvent)
