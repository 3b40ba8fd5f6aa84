"""`remotectl webhook test`, `deliveries` and `replay`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fake_api import NOW, Answer, FakeApi

ID = "01M7YFNZ7G4HK7EAPK0XJPWFEK"


def message(**fields: Any) -> dict[str, Any]:
    return {
        "id": ID, "type": "webhook.test", "subject": "alarm", "state": "delivered", "status": 204,
        "attempts": 1, "created_at": NOW, "seconds": 0.1, "error": "", **fields,
    }  # fmt: skip


def test_a_test_waits_for_its_result(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("POST", "/webhooks/alarm/test", Answer(message(state="pending", attempts=0), 202))
    path = f"/webhooks/alarm/deliveries/{ID}"
    api.on("GET", path, message(state="pending", attempts=0, status=None), message())
    assert ctl("webhook", "test", "alarm") == 0
    assert "the receiver answered 204" in capsys.readouterr().err
    assert len(api.said("GET", path)) == 2
    api.on("GET", path, message(state="failed", error="the receiver answered 500"))
    assert ctl("webhook", "test", "alarm") == 1
    assert "was not delivered: the receiver answered 500." in capsys.readouterr().err


def test_messages_and_replay(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/webhooks/alarm/deliveries", {"items": [message()]})
    assert ctl("webhook", "deliveries", "alarm", "--state", "delivered", "-q") == 0
    assert capsys.readouterr().out == f"{ID}\n"
    path = f"/webhooks/alarm/deliveries/{ID}"
    api.on("POST", f"{path}/replay", Answer(message(state="pending"), 202))
    api.on("GET", path, message(state="pending", attempts=1, error="it timed out"))
    assert ctl("webhook", "replay", "alarm", ID.lower(), "-o", "json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["id"] == ID and "It is tried again." in said.err
