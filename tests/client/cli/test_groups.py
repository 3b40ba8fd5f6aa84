"""`remotectl group`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fake_api import ID, NOW, Answer, FakeApi

VIEW: dict[str, Any] = {
    "id": ID, "name": "patch", "state": "running", "queue": "q", "size": 3,
    "select": {"labels": {"role": "web"}}, "counts": {"queued": 1, "succeeded": 2},
    "max_parallel": 2, "halt_on_failures": 1, "created_at": NOW, "unavailable": 1,
    "unavailable_agents": [{"agent": "c", "reason": "offline"}],
    "members": [{"job": ID, "agent": "a", "state": "succeeded", "exit_code": 0}],
}  # fmt: skip


def test_list(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/groups", {"items": [VIEW]}, {"items": []})
    assert ctl("group", "list", "--queue", "q") == 0
    assert api.calls[0].query == {"limit": "50", "queue": "q"}
    title, row = capsys.readouterr().out.splitlines()
    assert "OF WHICH" in title and "2 succeeded, 1 queued" in row
    assert ctl("group", "list") == 0
    assert "No groups match" in capsys.readouterr().err


def test_show(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", f"/groups/{ID}", VIEW)
    assert ctl("group", "show", ID.lower()) == 0
    out = capsys.readouterr().out
    assert "running (waits for 1 agent: c (offline))" in out
    assert "at most 2 at the same time, halts on failure number 1" in out
    assert "role=web" in out and "AGENT" in out
    assert ctl("group", "show", ID, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == VIEW


def test_cancel(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("POST", f"/groups/{ID}/cancel", Answer(VIEW, 202), {**VIEW, "ended_at": NOW})
    assert ctl("group", "cancel", ID, "--reason", "wrong") == 0
    assert api.calls[0].body == {"reason": "wrong"}
    assert "is being cancelled: 2 succeeded, 1 queued" in capsys.readouterr().err
    assert ctl("group", "cancel", ID) == 0
    assert "had ended before" in capsys.readouterr().err


def test_the_newest_one(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/groups", {"items": [VIEW]}, {"items": []})
    api.on("GET", f"/groups/{ID}", VIEW)
    assert ctl("group", "show", "@last") == 0
    assert api.calls[0].query == {"limit": "1"}
    capsys.readouterr()
    assert ctl("group", "show", "@last") == 2
    assert "There is no group yet" in capsys.readouterr().err


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1)])
def test_wait(api: FakeApi, ctl: Any, state: str, code: int) -> None:
    api.on("GET", f"/groups/{ID}", VIEW, {**VIEW, "state": state, "ended_at": NOW})
    assert ctl("group", "wait", ID) == code
