"""What docs/webhooks.md shows: its code verifies real messages, its message is one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote_protocol.api.webhooks import MESSAGE, JobEnded, WebhookEvent
from remote_server.domain.signing import KEY_SIZE, SigningKey, headers, key_text
from tests.docs.blocks import blocks

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
KEY = SigningKey(key_text(b"k" * KEY_SIZE))
BODY = b'{"type": "job.ended"}'


def block(language: str) -> str:
    (found,) = [one for one in blocks(GUIDE.read_text()) if one.language == language]
    return found.text


def verified() -> Callable[..., bool]:
    space: dict[str, Any] = {}
    exec(block("python"), space)
    found: Callable[..., bool] = space["verified"]
    return found


def test_the_guides_verification() -> None:
    check, secret = verified(), KEY.secret("h", 2)
    now = int(time.time())
    assert check(secret, headers([secret], "1", now, BODY), BODY, 3600)
    assert check(secret, headers([KEY.secret("h", 3), secret], "1", now, BODY), BODY, 3600)
    assert not check(secret, headers([KEY.secret("h", 1)], "1", now, BODY), BODY, 3600)
    assert not check(secret, headers([secret], "1", now, BODY), BODY + b" ", 3600)
    other = headers([secret], "1", now, BODY) | {"webhook-id": "2"}
    assert not check(secret, other, BODY, 3600)
    assert not check(secret, headers([secret], "1", now - 7200, BODY), BODY, 3600)


def test_the_guides_message_is_one() -> None:
    message = MESSAGE.validate_json(block("json"))
    assert isinstance(message, JobEnded)
    assert message.model_dump(mode="json").keys() <= JobEnded.model_fields.keys()


def test_the_guide_has_each_event() -> None:
    text = GUIDE.read_text()
    for event in WebhookEvent:
        assert f"| `{event}` |" in text
