"""`remotectl login` and `logout`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import certifi
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


def test_a_relative_ca_file_is_kept_absolute(
    api: FakeApi, ctl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on("GET", "/version", VERSION)
    api.on("GET", "/queues", {"items": []})
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    assert ctl("--ca-file", "ca.pem", "login") == 0
    assert find_access(None, None, None).ca_file == str(tmp_path / "ca.pem")


def test_a_login_that_cannot_be_kept(
    api: FakeApi, ctl: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/version", VERSION)
    api.on("GET", "/queues", {"items": []})
    (tmp_path / "config").write_text("a file where the folder should be")
    assert ctl("login") == 1
    assert capsys.readouterr().err.startswith("remotectl: [Errno")
