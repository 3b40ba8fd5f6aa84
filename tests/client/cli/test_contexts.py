"""`remotectl context`."""

from __future__ import annotations

import json

import pytest

from remote_client.config import Access, read_contexts, save_access
from tests.client.conftest import call
from tests.support.fake_api import TOKEN, FakeApi


@pytest.fixture(autouse=True)
def two() -> None:
    save_access(Access("https://b.example.com", TOKEN, "/ca.pem"), "work")
    save_access(Access("http://127.0.0.1:8750", TOKEN), "dev")


def test_list_and_show_never_show_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("list", "list -o json", "list -o wide", "list -q", "show", "show -o json",
                 "show work"):  # fmt: skip
        words = line.split()
        assert call("context", *words) == 0
        out = capsys.readouterr().out
        assert TOKEN not in out and ("dev" in out or words[-1] == "work")
    assert call("context", "list", "-o", "json") == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert [(item["name"], item["current"]) for item in items] == [("work", False), ("dev", True)]


def test_use_and_delete(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("context", "use", "work") == 0
    assert "https://b.example.com" in capsys.readouterr().err
    assert read_contexts().current == "work"
    assert call("context", "use", "home") == 2
    assert "there are: work, dev" in capsys.readouterr().err
    assert call("context", "delete", "work") == 0
    assert (read_contexts().current, list(read_contexts().known)) == (None, ["dev"])
    assert call("context", "show") == 2
    assert call("logout", "--context", "dev") == 0
    assert call("context", "list") == 0
    assert "There are no contexts" in capsys.readouterr().err


def test_one_call_in_another_context(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_access(Access(api.url, TOKEN), "here")
    assert call("context", "use", "work") == 0
    api.on("GET", "/queues", {"items": []})
    assert call("queue", "list", "--context", "here") == 0
    monkeypatch.setenv("REMOTE_CONTEXT", "here")
    assert call("queue", "list") == 0
    assert len(api.calls) == 2
