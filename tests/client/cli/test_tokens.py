"""`remotectl token` and `registration-token`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_api import ID, NOW, TOKEN, Answer, FakeApi


def view(**fields: Any) -> dict[str, Any]:
    return {"id": ID, "kind": "api", "name": "ci", "created_at": NOW, **fields}


def test_create(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("POST", "/tokens", Answer(view(token="rpt_new"), 201))
    assert ctl("token", "create", "--name", "ci", "--role", "operator", "--expires", "90d") == 0
    assert api.calls[0].body["expires"] == 90 * 86400
    captured = capsys.readouterr()
    assert captured.out == "rpt_new\n" and ID in captured.err
    assert ctl("token", "create", "--name", "ci", "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["id"], document["token"]) == (ID, "rpt_new")


def test_a_token_is_limited_to_queues(api: FakeApi, ctl: Any) -> None:
    api.on("POST", "/tokens", Answer(view(token="rpt_new"), 201))
    words = (
        "token",
        "create",
        "--name",
        "ci",
        "--role",
        "operator",
        "--queue",
        "a",
        "--queue",
        "b",
    )
    assert ctl(*words) == 0
    assert api.calls[0].body["queues"] == ["a", "b"] and api.calls[0].body["agent"] is None


def test_list_shows_what_each_is_worth(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    old = "2020-01-01T00:00:00Z"
    items = [
        view(),
        view(revoked=True),
        view(expires_at=old),
        view(kind="registration", uses_left=0),
    ]
    api.on("GET", "/tokens", {"items": items})
    assert ctl("token", "list") == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("valid", "revoked", "expired", "used up"))


def test_registration_tokens(api: FakeApi, ctl: Any) -> None:
    path = "/registration-tokens"
    api.on("POST", path, Answer(view(kind="registration", token="rrt_new"), 201))
    api.on("GET", path, {"items": []})
    api.on("DELETE", f"{path}/{ID}", Answer(None, 204))
    assert ctl("registration-token", "create", "--queue", "a", "--uses", "2") == 0
    assert ctl("registration-token", "create", "--expires", "never") == 0
    assert [said.body for said in api.calls] == [
        {"queues": ["a"], "uses": 2, "expires": 3600.0, "allow_replace": False},
        {"uses": 1, "expires": None, "allow_replace": False},
    ]
    wide = ("--any-queue", "--uses", "unlimited", "--allow-replace", "--label", "zone=a")
    assert ctl("registration-token", "create", *wide) == 0
    assert api.calls[-1].body == {
        "any_queue": True,
        "labels": {"zone": "a"},
        "allow_replace": True,
        "uses": None,
        "expires": 3600.0,
    }
    assert ctl("registration-token", "list") == 0
    assert ctl("registration-token", "revoke", ID.lower()) == 0


def test_revoke(api: FakeApi, ctl: Any) -> None:
    api.on("DELETE", f"/tokens/{ID}", Answer(None, 204))
    assert ctl("token", "revoke", ID) == 0
    assert ctl("token", "revoke", "01UNKNOWN") == 1


def test_a_token_goes_into_a_file_of_ones_own(
    api: FakeApi, ctl: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Answer(view(kind="registration", token="rrt_new"), 201)
    api.on("POST", "/registration-tokens", made)
    file = tmp_path / "token"
    assert ctl("registration-token", "create", "--output-file", str(file)) == 0
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("rrt_new\n", 0o600)
    captured = capsys.readouterr()
    assert captured.out == "" and "which only you can read" in captured.err


def test_no_token_is_made_that_has_no_place(
    api: FakeApi, ctl: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").write_text("kept")
    calls = (
        ("registration-token", "create"),
        ("token", "create", "--name", "ci"),
        ("agent", "rotate-token", "a"),
    )
    for call in calls:
        for name, says in (("there", "exists already"), ("no/folder", "cannot be made")):
            assert ctl(*call, "--output-file", str(tmp_path / name)) == 2
            assert says in capsys.readouterr().err
        # A call that fails leaves no empty file.
        assert ctl(*call, "--output-file", str(tmp_path / "new")) == 1
    assert (tmp_path / "there").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]
    assert [said.path for said in api.calls] == [
        "/registration-tokens", "/tokens", "/agents/a/rotate-token"
    ]  # fmt: skip


def test_a_file_that_others_read_draws_a_word(api: FakeApi, ctl: Any, tmp_path: Path) -> None:
    api.on("POST", "/tokens", Answer(view(token="rpt_new"), 201))
    (tmp_path / "token").touch(0o644)
    env = {**os.environ, "REMOTE_URL": api.url, "REMOTE_TOKEN": TOKEN}
    command = [sys.executable, "-m", "remote_client", "token", "create", "--name", "ci"]
    with open(tmp_path / "token", "wb") as file:
        done = subprocess.run(command, stdout=file, stderr=-1, env=env, check=True)
    assert b"others can read the file that it goes to" in done.stderr
    assert (tmp_path / "token").read_text() == "rpt_new\n"


def test_bad_values_are_sentences(ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl("token", "create", "--name", "a b") == 2
    assert ctl("token", "create", "--name", "a", "--expires", "x") == 2
    assert ctl("registration-token", "create", "--uses", "0") == 2
    assert ctl("registration-token", "create", "--uses", "many") == 2
    assert ctl("registration-token", "create", "--label", "x") == 2
    assert "Traceback" not in capsys.readouterr().err
