"""`remotectl audit`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fake_api import ID, NOW, Answer, FakeApi


def entry(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "number": number,
        "at": NOW,
        "actor_kind": "api",
        "actor": "alice",
        "token_id": ID,
        "address": "192.0.2.7",
        "action": "agent.update",
        "subject_kind": "agent",
        "subject": "web-7",
        "result": "ok",
        "repeated": 0,
        "detail": {"labels": {"old": {}, "new": {"a": "b"}}},
        "hash": "0" * 64,
        **fields,
    }


def lines(*entries: dict[str, Any]) -> Answer:
    documents = [*entries, {"event": "end", "after": 9}]
    return Answer("".join(f"{json.dumps(one)}\n" for one in documents).encode(), 200)


def test_a_table(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = {"actor_kind": "unknown", "actor": "", "result": "invalid_token", "repeated": 412}
    page = {"items": [entry(2), entry(1, **unknown)], "next_cursor": "1"}
    api.on("GET", "/audit", page)
    assert ctl("audit", "--limit", "2", "--actor", "alice", "--since", "24h") == 0
    assert api.calls[0].query == {"limit": "2", "actor": "alice", "since": "24h"}
    said = capsys.readouterr()
    assert "alice" in said.out and "agent web-7" in said.out and '{} → {"a": "b"}' in said.out
    assert "invalid_token (412 more like this)" in said.out
    assert "there are more entries" in said.err


def test_nothing_matches(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/audit", {"items": [], "next_cursor": None})
    assert ctl("audit", "--action", "job.") == 0
    assert "No entries match." in capsys.readouterr().err


def test_json_is_a_line_for_each_entry_the_oldest_first(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/audit", {"items": [entry(2), entry(1)], "next_cursor": None})
    assert ctl("audit", "--output", "json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found == [entry(1), entry(2)]


def test_an_export_has_everything(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/audit/stream", lines(entry(1), entry(2)))
    assert ctl("audit", "--all", "--output", "json", "--result", "ok") == 0
    assert api.calls[0].query == {"after": "0", "result": "ok"}
    assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == [1, 2]


def test_following_begins_now_or_at_a_moment(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/audit/stream", lines(entry(7)), lines(entry(3)), lines(entry(3)))
    assert ctl("audit", "--follow") == 0
    assert ctl("audit", "-f", "--since", "1h", "-q") == 0
    assert [said.query for said in api.calls] == [
        {"after": "-1", "follow": "true"},
        {"after": "0", "follow": "true", "since": "1h"},
    ]
    first, second = capsys.readouterr().out.splitlines()
    assert "alice  192.0.2.7  agent.update  agent web-7  ok" in first
    assert second == "3"
