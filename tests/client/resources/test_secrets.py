"""Secrets by both clients."""

from __future__ import annotations

from typing import Any

from remote_protocol.api.secrets import SecretChange, SecretPut
from tests.support.fake_api import NOW, Answer, FakeApi


def test_secrets(api: FakeApi, both: Any) -> None:
    view: dict[str, Any] = {
        "name": "A", "queues": ["x"], "key_id": "k", "created_at": NOW, "created_by": "me",
        "updated_at": NOW, "updated_by": "me",
    }  # fmt: skip
    api.on("PUT", "/secrets/A", Answer(view, 201))
    assert both.set_secret("A", SecretPut(value="only we", queues=["x"])).queues == ["x"]
    assert api.calls[0].body == {"value": "only we", "queues": ["x"]}
    api.on("GET", "/secrets", {"items": [view]})
    api.on("GET", "/secrets/A", view)
    assert [one.name for one in both.secrets()] == [both.secret("A").name]
    api.on("PATCH", "/secrets/A", {**view, "queues": [], "all_queues": True})
    assert both.change_secret("A", SecretChange(all_queues=True)).all_queues
    assert api.calls[-1].body == {"all_queues": True}
    api.on("DELETE", "/secrets/A", Answer(None, 204))
    assert both.delete_secret("A") is None
