"""Bodies and messages of webhooks."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.webhooks import MESSAGE, WebhookChange, WebhookCreate, WebhookTest
from remote_protocol.ids import make_ulid

GIVEN = {"name": "a", "url": "https://example.com/h?key=%2F", "events": ["job.ended"]}


def test_a_webhook() -> None:
    made = WebhookCreate.model_validate(GIVEN)
    assert made.url == GIVEN["url"] and made.states == []


@pytest.mark.parametrize(
    "change",
    [{"events": []}, {"states": ["queued"]}, {"job_name": "a\0"}, {"url": "https://a b"}, {"x": 1}],
)
def test_what_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WebhookCreate.model_validate(GIVEN | change)
    with pytest.raises(ValidationError):
        WebhookChange.model_validate(change)


def test_newer_fields_of_messages_are_ignored() -> None:
    text = {
        "id": make_ulid(1, bytes(10)),
        "version": 1,
        "timestamp": "2026-11-27T04:12:09Z",
        "type": "webhook.test",
        "data": {"webhook": "a", "requested_by": "b", "more": 1},
        "more": 1,
    }
    assert isinstance(MESSAGE.validate_python(text), WebhookTest)
