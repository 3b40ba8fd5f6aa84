"""Groups as sent and as shown."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remote_protocol.api.groups import GroupCreate, GroupState, GroupView
from remote_protocol.limits import MAX_GROUP_MEMBERS
from remote_protocol.spec import CommandSpec
from remote_protocol.states import JobState

SPEC = {"command": ["true"]}


def test_what_is_left_out_limits_nothing() -> None:
    group = GroupCreate.model_validate({"spec": SPEC})
    assert isinstance(group.spec, CommandSpec)
    assert (group.max_parallel, group.halt_on_failures) == (None, None)
    assert (group.select.labels, group.select.online_only) == ({}, False)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_parallel": 0},
        {"max_parallel": MAX_GROUP_MEMBERS + 1},
        {"halt_on_failures": 0},
        {"select": {"labels": {"": "x"}}},
        {"select": {"agents": ["a"]}},
        {"spec": {}},
        {"jobs": [SPEC]},
    ],
)
def test_bounds(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GroupCreate.model_validate({"spec": SPEC, **fields})


def test_a_newer_server_may_say_more() -> None:
    view = GroupView.model_validate(
        {
            "id": "01ARYZ6S410000000000000000",
            "state": "running",
            "queue": "q",
            "select": {"labels": {"a": "b"}},
            "size": 1,
            "counts": {"queued": 1},
            "created_at": "2026-11-21T05:00:00Z",
            "news": True,
        }
    )
    assert (view.state, view.counts) == (GroupState.RUNNING, {JobState.QUEUED: 1})
