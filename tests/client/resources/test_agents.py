"""Agents by both clients."""

from __future__ import annotations

from typing import Any

import pytest

from remote_client.errors import ApiError
from remote_protocol.api.agents import AgentChange
from tests.support.fake_api import NOW, Answer, FakeApi


def test_changes_send_only_what_is_set(api: FakeApi, both: Any) -> None:
    view = {
        "name": "a", "state": "online", "queues": ["q"], "capacity": {"default": 2},
        "registered_at": NOW,
    }  # fmt: skip
    api.on("PATCH", "/agents/a", view)
    both.change_agent("a", AgentChange(queues=["q"]))
    assert api.calls[0].body == {"queues": ["q"]}
    api.on("POST", "/agents/a/drain", view)
    both.drain_agent("a", 30)
    assert api.calls[1].body == {"deadline": 30}


def test_names_are_one_segment_of_the_path(api: FakeApi, both: Any) -> None:
    with pytest.raises(ApiError):
        both.agent("../tokens?x=1")
    assert api.calls[0].path == "/agents/..%2Ftokens%3Fx%3D1"
    assert api.calls[0].query == {}


def test_what_is_asked_of_agents(api: FakeApi, both: Any) -> None:
    view = {
        "name": "a", "state": "online", "queues": ["q"], "capacity": {"default": 2},
        "registered_at": NOW,
    }  # fmt: skip
    api.on("GET", "/agents", {"items": [view]})
    assert [agent.name for agent in both.agents().items] == ["a"]
    for what in ("pause", "resume", "restart"):
        api.on("POST", f"/agents/a/{what}", view)
    assert both.pause_agent("a", "why").name == both.resume_agent("a").name == "a"
    assert api.calls[1].body == {"comment": "why"}
    assert both.restart_agent("a").restart_requested_at is None
    api.on("POST", "/agents/a/rotate-token", {"name": "a", "token": "rat_x"})
    assert both.rotate_agent_token("a").token == "rat_x"
    api.on("DELETE", "/agents/a", Answer(None, 204))
    both.delete_agent("a")


def test_its_own_log_goes_on_where_a_link_broke(api: FakeApi, both: Any) -> None:
    first = {"Remote-Log-Offset": "3", "Remote-Log-Size": "11"}
    api.on(
        "GET",
        "/agents/a/log",
        Answer(b"one\n", breaks=True, headers=first),
        Answer(b"two\n", headers={**first, "Remote-Log-Offset": "7"}),
    )
    assert b"".join(both.agent_log("a", tail=2)) == b"one\ntwo\n"
    assert [call.query for call in api.calls] == [{"tail": "2"}, {"offset": "7"}]
