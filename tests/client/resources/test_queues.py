"""Queues by both clients."""

from __future__ import annotations

from typing import Any

from remote_protocol.api.queues import QueueChange, QueueCreate
from tests.support.fake_api import NOW, Answer, FakeApi


def test_queues(api: FakeApi, both: Any) -> None:
    view = {"name": "q", "created_at": NOW}
    api.on("POST", "/queues", Answer(view, 201))
    assert both.create_queue(QueueCreate(name="q", job_retention=86400.0)).name == "q"
    assert api.calls[0].body == {"name": "q", "job_retention": 86400.0}
    api.on("PATCH", "/queues/q", {**view, "paused": True})
    assert both.change_queue("q", QueueChange(paused=True)).paused
    assert api.calls[1].body == {"paused": True}
    api.on("GET", "/queues", {"items": [view]})
    api.on("GET", "/queues/q", view)
    assert [queue.name for queue in both.queues()] == [both.queue("q").name]
    api.on("DELETE", "/queues/q", Answer(None, 204))
    both.delete_queue("q")
