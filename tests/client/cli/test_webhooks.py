"""`remotectl webhook`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_api import NOW, Answer, FakeApi

TO = ("--to", "https://example.com/hook")
ID = "01M7YFNZ7G4HK7EAPK0XJPWFEK"


def view(**fields: Any) -> dict[str, Any]:
    return {
        "id": ID, "name": "alarm", "url": TO[1], "events": ["job.ended"], "enabled": True,
        "created_at": NOW, **fields,
    }  # fmt: skip


def test_create_shows_the_secret_once(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    api.on("POST", "/webhooks", Answer(view(secret="whsec_x"), 201))
    rule = ("--event", "job.ended", "--state", "failed", "--queue", "berlin", "--job-name", "b*")
    assert ctl("webhook", "create", "alarm", *TO, *rule) == 0
    assert api.calls[0].body == {
        "name": "alarm",
        "url": TO[1],
        "events": ["job.ended"],
        "states": ["failed"],
        "queues": ["berlin"],
        "job_name": "b*",
    }
    assert capsys.readouterr().out == "whsec_x\n"
    kept = tmp_path / "secret"
    assert ctl("webhook", "create", "alarm", *TO, *rule[:2], "--output-file", str(kept)) == 0
    assert kept.read_text() == "whsec_x\n" and kept.stat().st_mode & 0o777 == 0o600
    assert "whsec_x" not in "".join(capsys.readouterr())
    assert ctl("webhook", "create", "alarm", *TO) == 2
    assert "--event" in capsys.readouterr().err


def test_list_and_show(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/webhooks", {"items": [view(failing_since=NOW, pending=3)]})
    api.on("GET", "/webhooks/alarm", view(enabled=False, disabled_reason="it was gone"))
    assert ctl("webhook", "list") == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("alarm", "failing", "job.ended", "3", TO[1]))
    assert ctl("webhook", "show", "alarm") == 0
    out = capsys.readouterr().out
    assert "disabled" in out and "it was gone" in out


def test_update(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("PATCH", "/webhooks/alarm", view())
    words = ("--enable", "--clear", "job-name", "--clear", "queue", "--state", "failed")
    assert ctl("webhook", "update", "alarm", *words) == 0
    assert api.calls[0].body == {
        "enabled": True,
        "job_name": None,
        "queues": [],
        "states": ["failed"],
    }
    assert ctl("webhook", "update", "alarm", *TO) == 0
    assert api.calls[1].body == {"url": TO[1]}
    assert ctl("webhook", "update", "alarm") == 2
    assert ctl("webhook", "update", "alarm", "--clear", "event") == 2
    assert "--clear 'event' is none of" in capsys.readouterr().err


def test_rotate_and_delete(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("POST", "/webhooks/alarm/rotate-secret", view(secret="whsec_y"))
    assert ctl("webhook", "rotate-secret", "alarm", "--grace", "2h") == 0
    assert api.calls[0].body == {"grace": 7200.0}
    assert capsys.readouterr().out == "whsec_y\n"
    api.on("DELETE", "/webhooks/alarm", Answer(None, 204))
    assert ctl("webhook", "delete", "alarm") == 0
