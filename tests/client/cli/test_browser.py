"""`remotectl login` by the browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from remote_client.cli.browser import has_browser, program_name
from remote_client.config import config_file, find_access, read_contexts
from tests.client.conftest import call
from tests.support.fake_api import ID, NOW, TOKEN, FakeApi, problem

ME = {"id": ID, "kind": "api", "name": "anna/laptop", "role": "operator", "created_at": NOW}
BEGUN = {
    "secret": "s3cret", "code": "BCDF-GHJK", "page": "confirm?code=BCDF-GHJK", "expires_in": 60.0,
    "interval": 0.0,
}  # fmt: skip


@pytest.fixture
def terminal(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """Somebody at a terminal, over ssh, at a server."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setenv("SSH_CONNECTION", "x")
    monkeypatch.delenv("REMOTE_TOKEN", raising=False)
    api.on("GET", "/version", {"version": "0.1.0", "protocol": 1})
    api.on("GET", "/whoami", ME)
    api.on("POST", "/logins", BEGUN)
    return api


def test_a_confirmed_login_is_kept_and_revoked_at_the_end(
    terminal: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.on("POST", "/logins/token", {"state": "confirmed", "token": {"token": TOKEN}})
    assert call("login", terminal.url) == 0
    said = capsys.readouterr()
    assert "BCDF-GHJK" in said.err and f"{terminal.url}/confirm?code=BCDF-GHJK" in said.err
    assert "s3cret" not in said.out + said.err and TOKEN not in said.out + said.err
    assert find_access().token == TOKEN
    if sys.platform != "win32":
        assert Path(config_file()).stat().st_mode & 0o777 == 0o600
    terminal.on("DELETE", "/whoami", None)
    assert call("logout") == 0
    assert [one.method for one in terminal.calls if one.path.endswith("/whoami")][-1] == "DELETE"
    assert read_contexts().known == {}


def test_a_program_that_asks_too_often_asks_more_slowly(
    terminal: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("remote_client.cli.browser.time.sleep", pauses.append)
    slower = problem(429, "too_many_requests", "this login is asked about too often")
    pending = {"state": "pending", "token": None}
    confirmed = {"state": "confirmed", "token": {"token": TOKEN}}
    terminal.on("POST", "/logins/token", pending, slower, pending, confirmed)
    assert call("login", terminal.url) == 0
    assert pauses == [0.1, 0.1, 5.1, 5.1]


def test_another_refusal_ends_it(terminal: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.on("POST", "/logins/token", problem(404, "not_found", "no such login waits"))
    assert call("login", terminal.url) == 1
    assert "no such login waits" in capsys.readouterr().err


def test_a_role_is_asked_for(terminal: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.on("POST", "/logins/token", {"state": "confirmed", "token": {"token": TOKEN}})
    assert call("login", terminal.url, "--role", "operator") == 0
    (begun,) = terminal.said("POST", "/logins")
    assert begun.body["role"] == "operator"
    assert call("login", terminal.url, "--role", "operator", "--token-stdin") == 2
    assert "the role of a token is its own" in capsys.readouterr().err


def test_a_refused_login_keeps_nothing(
    terminal: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.on("POST", "/logins/token", {"state": "refused", "token": None})
    assert call("login", terminal.url) == 1
    assert "refused in the browser" in capsys.readouterr().err
    assert not Path(config_file()).exists()


def test_a_logout_goes_on_when_the_server_does_not(
    terminal: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.on("POST", "/logins/token", {"state": "confirmed", "token": {"token": TOKEN}})
    assert call("login", terminal.url) == 0
    terminal.on("DELETE", "/whoami", problem(500, "internal", "a mistake"))
    assert call("logout") == 0
    assert "did not revoke the token" in capsys.readouterr().err
    assert read_contexts().known == {}


def test_a_program_is_named_by_user_and_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "anna müller")
    monkeypatch.setattr("socket.gethostname", lambda: "laptop.example.com")
    assert program_name() == "anna-m-ller-laptop"


def test_over_ssh_no_browser_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SSH_CONNECTION", "x")
    assert not has_browser()
    monkeypatch.delenv("SSH_CONNECTION")
    assert has_browser()


def test_a_token_given_is_taken(terminal: FakeApi, ctl: Any) -> None:
    assert ctl("login") == 0
    assert not any(one.path.endswith("/logins") for one in terminal.calls)
