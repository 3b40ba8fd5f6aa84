"""`remotectl login` and `logout`."""

from __future__ import annotations

from typing import Any

import pytest

from remote_client.config import find_access, login_file
from tests.client.conftest import call
from tests.support.fake_api import TOKEN, FakeApi, problem

VERSION = {"version": "0.1.0", "protocol_oldest": 1, "protocol_newest": 1}


def test_login_checks_then_keeps(api: FakeApi, ctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api.on("GET", "/version", VERSION)
    api.on("GET", "/queues", {"items": []})
    assert ctl("login") == 0
    monkeypatch.delenv("REMOTE_URL")
    monkeypatch.delenv("REMOTE_TOKEN")
    assert find_access(None, None, None).token == TOKEN
    assert call("queue", "list") == 0
    assert call("logout") == 0
    assert not login_file().exists()


def test_a_refused_token_is_not_kept(api: FakeApi, ctl: Any) -> None:
    api.on("GET", "/version", VERSION)
    api.on("GET", "/queues", problem(401, "invalid_token", "The token is not known"))
    assert ctl("login") == 1
    assert not login_file().exists()
