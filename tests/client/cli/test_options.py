"""Global options go anywhere; values are checked by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client.conftest import call
from tests.support.fake_api import TOKEN, FakeApi


@pytest.fixture
def token(tmp_path: Any) -> str:
    (tmp_path / "token").write_text(TOKEN)
    return str(tmp_path / "token")


def test_global_options_before_and_after_the_command(api: FakeApi, token: str) -> None:
    api.on("GET", "/queues", {"items": []})
    access = ("--url", api.url, "--token-file", token)
    assert call(*access, "queue", "list") == 0
    assert call("queue", *access, "list") == 0
    assert call("queue", "list", *access) == 0
    assert call("--url", "http://127.0.0.1:1", "queue", "list", *access) == 0
    assert len(api.calls) == 4


def test_what_is_said_counts_more_than_the_environment(
    api: FakeApi, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on("GET", "/queues", {"items": []})
    monkeypatch.setenv("REMOTE_URL", "http://127.0.0.1:1")
    assert call("queue", "list", "--url", api.url, "--token-file", token) == 0
    monkeypatch.setenv("REMOTE_URL", api.url)
    monkeypatch.setenv("REMOTE_TOKEN_FILE", token)
    assert call("queue", "list") == 0


def test_help_shows_them_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("queue", "list", "--help") == 0
    own, _, common = capsys.readouterr().out.partition("Global options:")
    assert "--no-headers" in own and "--url" not in own
    assert "--url" in common and "--token-file" in common


def test_every_option_has_its_variable(
    api: FakeApi, ctl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.on("GET", "/jobs", {"items": []})
    monkeypatch.setenv("REMOTE_JOB_LIST_LIMIT", "7")
    assert ctl("job", "list") == 0
    assert api.calls[-1].query["limit"] == "7"
    monkeypatch.setenv("REMOTE_RUN_TIMEOUT", "soon")
    assert ctl("run", "--", "true") == 2


@pytest.mark.parametrize("name", ["..", "a/b", "", "a b", "x" * 129, "-x"])
def test_what_is_no_name_asks_nobody(api: FakeApi, ctl: Any, name: str) -> None:
    assert ctl("agent", "show", "--", name) == 2
    assert ctl("queue", "delete", "--", name) == 2
    assert api.calls == []
