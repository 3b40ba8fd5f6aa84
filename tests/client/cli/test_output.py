"""Tables, fields, times."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from remote_client.cli.output import (
    age,
    ago,
    between,
    coloured,
    duration,
    note,
    pairs,
    print_fields,
    print_json,
    size,
    when,
)


def test_brackets_of_users_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("B", "[bold]y[/bold]"), ("C", "")])
    assert capsys.readouterr().out == "B  [bold]y[/bold]\n"


def test_states_are_coloured_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coloured("failed") == "failed"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured("failed") == "\x1b[31mfailed\x1b[0m"
    assert coloured("[red]") == "[red]"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("failed") == "failed"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"code": "c", "half": "\ud800"})
    assert json.loads(capsys.readouterr().out) == {"code": "c", "half": "\ud800"}


def test_times() -> None:
    moment = "2026-11-21T05:00:00.000000Z"
    assert (when(None), ago(None), age(None), between(None, None)) == ("", "", "", "")
    assert between(moment, "2026-11-21T05:01:30Z") == "1m30s"
    assert between(moment, "2026-11-21T04:00:00Z") == "0ms"
    before = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    assert ago(before).startswith("3h") and age(before) == "3h"
    assert pairs({"a": 1, "b": 2}) == "a=1, b=2"


def test_a_local_time_names_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    try:
        assert when("2026-11-21T05:00:00Z") == "2026-11-21 00:00:00-05:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_odd_values_of_others_are_shown_as_they_are() -> None:
    assert size(2048) == "2.0 KiB" and size(0) == "" and size(None) == ""
    assert size(10**400).endswith("(not a size)") and size(-5) == "-5 (not a size)"
    assert duration(90) == "1m30s" and duration(float("inf")) == "inf (not a duration)"
    assert when("soon") == "soon" and when("9999-12-31T23:59:59Z") and pairs("x") == ""


def test_names_are_no_emoji_and_keep_backslashes(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("A", "deploy:rocket:x"), ("B", "C:\\[tmp]\\")])
    out = capsys.readouterr().out
    assert "deploy:rocket:x" in out and "C:\\[tmp]\\" in out


EVIL = "a\x1b]0;title\x07b\x9b2Jc\u202ed\r\x7f"


def test_control_characters_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = r"a\x1b]0;title\x07b\x9b2Jc\u202ed\x0d\x7f"
    print_fields([("B", EVIL), ("C", "two\nrows")])
    note(EVIL)
    out, err = capsys.readouterr()
    assert shown in out and shown in err
    assert "two\\nrows" in out
    assert not set(out + err) & set("\x1b\x07\x9b\u202e\r\x7f")


def test_json_for_a_terminal_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"title": EVIL})
    out = capsys.readouterr().out
    assert json.loads(out)["title"] == EVIL
    assert not set(out) & set("\x1b\x07\x9b\u202e\r\x7f")
