"""`remotectl login` and `logout`."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import certifi
import pytest

from remote_client.config import config_file, find_access
from tests.client.conftest import call
from tests.support.fake_api import ID, NOW, TOKEN, FakeApi, problem

ME = {"id": ID, "kind": "api", "name": "anna", "role": "operator", "created_at": NOW}
VERSION = {"version": "0.1.0", "protocol": 1}


def test_login_checks_then_keeps(api: FakeApi, ctl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api.on("GET", "/version", VERSION)
    api.on("GET", "/whoami", ME)
    assert ctl("login") == 0
    monkeypatch.delenv("REMOTE_URL")
    monkeypatch.delenv("REMOTE_TOKEN")
    assert find_access().token == TOKEN
    assert call("whoami") == 0
    assert call("logout") == 0
    assert call("whoami") == 2


def test_a_refused_token_is_not_kept(api: FakeApi, ctl: Any) -> None:
    api.on("GET", "/version", VERSION)
    api.on("GET", "/whoami", problem(401, "invalid_token", "The token is not known"))
    assert ctl("login") == 1
    assert not os.path.exists(config_file())


def test_a_relative_ca_file_is_kept_absolute(
    api: FakeApi, ctl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on("GET", "/version", VERSION)
    api.on("GET", "/whoami", ME)
    monkeypatch.chdir(tmp_path)
    Path("ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    assert ctl("--ca-file", "ca.pem", "login") == 0
    assert find_access().ca_file == str(tmp_path / "ca.pem")


def test_a_login_that_cannot_be_kept(
    api: FakeApi, ctl: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/version", VERSION)
    api.on("GET", "/whoami", ME)
    (tmp_path / "config").write_text("a file where the folder should be")
    assert ctl("login") == 1
    assert capsys.readouterr().err == (
        f"remotectl: {tmp_path / 'config/remotectl'}: Not a directory\n"
    )


def test_a_token_from_a_pipe_is_read_quietly(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", "/version", VERSION)
    api.on("GET", "/whoami", ME)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TOKEN}\n"))
    assert call("login", "--url", api.url, "--context", "work") == 0
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "as anna (operator); kept as context work in" in err
    assert find_access().token == TOKEN


def test_nothing_goes_out_over_plain_http(
    ctl: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: pytest.fail("connected"))
    for words in (("login",), ("job", "list"), ("run", "--", "true")):
        assert ctl("--url", "http://jobs.example.com", *words) == 2
        assert "is plain HTTP" in capsys.readouterr().err


def test_whoami(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/whoami", ME)
    assert ctl("whoami") == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("anna", "operator", api.url, "never", ID))
