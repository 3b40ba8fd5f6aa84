"""The audit by both clients."""

from __future__ import annotations

import json
from typing import Any

from tests.client.cli.test_audit import entry
from tests.support.fake_api import Answer, FakeApi


def test_lists(api: FakeApi, both: Any) -> None:
    api.on("GET", "/audit", {"items": [entry(2)], "next_cursor": None})
    (found,) = both.audit(actor="alice")
    assert (found.number, found.actor, found.detail["labels"]["new"]) == (2, "alice", {"a": "b"})
    assert api.calls[0].query == {"limit": "100", "actor": "alice"}


def test_follows(api: FakeApi, both: Any) -> None:
    text = f"{json.dumps(entry(5))}\n{json.dumps({'event': 'end', 'after': 5})}\n"
    api.on("GET", "/audit/stream", Answer(text.encode(), 200))
    assert [found.number for found in both.follow_audit(4, action="agent.")] == [5]
    assert api.calls[0].query == {"after": "4", "follow": "true", "action": "agent."}
