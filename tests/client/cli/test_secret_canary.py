"""`remotectl secret canary`: its secret is deleted whatever happens, its result is an exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fake_api import ID, NOW, Answer, FakeApi, cri_log, job_view

WORDS = ("raw", "environment", "base64", "base64-1", "base64-2", "json", "url")
LINES = [("stdout", f"{word} ***\n".encode()) for word in WORDS]
VIEW = {
    "name": "CANARY_1", "queues": ["q"], "all_queues": False, "key_id": "k", "created_at": NOW,
    "created_by": "a", "updated_at": NOW, "updated_by": "a", "problem": "",
}  # fmt: skip


@pytest.fixture
def told(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.setattr(
        "remote_client.cli.secret_canary.secrets.token_hex", lambda size: "0F" * size
    )
    api.on("PUT", "/secrets/CANARY_0F0F0F0F", Answer(VIEW, 201))
    api.on("DELETE", "/secrets/CANARY_0F0F0F0F", Answer(None, 204))
    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", f"/jobs/{ID}", job_view(state="succeeded", agent="web-1"))
    api.on("GET", f"/jobs/{ID}/log", cri_log(*LINES, ("stderr", b"raw ***\n")))
    api.on("GET", f"/jobs/{ID}/outputs", {"attempt": 1, "outputs": {"value": "***"}})
    warning = "artifacts were left out: a file: its name holds a secret of the job"
    api.on("GET", f"/jobs/{ID}/artifacts", {"items": [], "warning": warning})
    api.on("GET", f"/jobs/{ID}/timeline", {"items": [], "next_cursor": None})
    for kind in ("jobs", "secrets", "audit"):
        api.on("GET", f"/{kind}", {"items": [], "next_cursor": None})
    return api


def called(api: FakeApi) -> list[str]:
    return [f"{call.method} {call.path}" for call in api.calls]


def test_what_is_masked_everywhere_is_proven(told: FakeApi, ctl: Any, capsys: Any) -> None:
    assert ctl("secret", "canary", "--queue", "q", "--agent", "web-1") == 0
    put, job = told.calls[0].body, told.calls[1].body
    assert put["queues"] == ["q"] and "0F" * 16 in put["value"]
    assert (job["secrets"], job["agent"]) == (["CANARY_0F0F0F0F"], "web-1")
    assert "0F" * 16 not in json.dumps(job), "only the secret has the value"
    assert "DELETE /secrets/CANARY_0F0F0F0F" in called(told)
    said = capsys.readouterr()
    assert "stdout, base64-2" in said.out and "leaked" not in said.out
    assert "readable nowhere" in said.err


def test_a_leak_is_named(told: FakeApi, ctl: Any, capsys: Any) -> None:
    told.on("GET", f"/jobs/{ID}/timeline", {"items": [{"detail": "0F" * 16}], "next_cursor": None})
    assert ctl("secret", "canary", "--output", "json") == 1
    said = capsys.readouterr()
    rows = {row["channel"]: row["result"] for row in json.loads(said.out)["channels"]}
    assert rows["timeline"] == "leaked" and rows["stderr"] == "masked"
    assert "not safe everywhere: timeline: leaked" in said.err and "web-1" in said.err


def test_what_was_not_written_is_not_proven(told: FakeApi, ctl: Any, capsys: Any) -> None:
    told.on("GET", f"/jobs/{ID}/artifacts", {"items": [], "warning": None})
    assert ctl("secret", "canary") == 1
    assert "artifacts' names: not tried" in capsys.readouterr().err


def test_a_job_that_fails_says_why_and_the_secret_goes(
    told: FakeApi, ctl: Any, capsys: Any
) -> None:
    told.on("GET", f"/jobs/{ID}", job_view(state="failed", end_detail="sh is not there"))
    assert ctl("secret", "canary") == 1
    assert "did not succeed: sh is not there" in capsys.readouterr().err
    assert "DELETE /secrets/CANARY_0F0F0F0F" in called(told)
