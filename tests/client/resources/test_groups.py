"""Groups by both clients."""

from __future__ import annotations

from typing import Any

from remote_protocol.api.groups import GroupCreate, GroupSelection
from remote_protocol.spec import CommandSpec
from tests.support.fake_api import ID, NOW, Answer, FakeApi


def test_groups(api: FakeApi, both: Any) -> None:
    view: dict[str, Any] = {
        "id": ID, "state": "running", "queue": "default", "select": {"labels": {"a": "b"}},
        "size": 1, "counts": {"running": 1}, "created_at": NOW,
        "members": [{"job": ID, "agent": "x", "state": "running"}],
    }  # fmt: skip
    api.on("POST", "/groups", Answer(view, 201))
    wanted = GroupCreate(
        spec=CommandSpec(command=["true"]), select=GroupSelection(labels={"a": "b"}), max_parallel=2
    )
    assert both.submit_group(wanted).members[0].agent == "x"
    body = api.calls[0].body
    assert body["spec"] == {"command": ["true"]}
    assert (body["select"]["labels"], body["max_parallel"]) == ({"a": "b"}, 2)
    api.on("POST", "/groups/explain", {"queue": "default", "size": 1, "agents": ["x"]})
    assert both.explain_group(wanted).agents == ["x"]
    api.on("GET", "/groups", {"items": [view]})
    assert [group.id for group in both.groups(queue="default").items] == [ID]
    assert api.calls[-1].query == {"limit": "50", "queue": "default"}
    api.on("GET", f"/groups/{ID}", view)
    assert both.group(ID).size == 1
    api.on("GET", f"/groups/{ID}/members", {"items": view["members"]})
    assert both.group_members(ID).items[0].job == ID
    api.on("POST", f"/groups/{ID}/cancel", Answer(view, 202))
    assert both.cancel_group(ID, "why").id == ID
    assert api.calls[-1].body == {"reason": "why"}
