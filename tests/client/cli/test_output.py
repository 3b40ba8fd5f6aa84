"""Tables, fields, times."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from remote_client.cli.output import (
    ago,
    between,
    coloured,
    note,
    pairs,
    print_fields,
    print_json,
    print_table,
    printable,
    when,
)
from remote_protocol.api import Problem


def test_brackets_of_users_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["A"], [["[red]x[/red]"]], "none")
    print_fields([("B", "[bold]y[/bold]"), ("C", "")])
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out and "[bold]y[/bold]" in out and "C" not in out


def test_states_are_coloured() -> None:
    assert (coloured("failed").plain, coloured("failed").style) == ("failed", "red")
    assert coloured("[red]").plain == "[red]"


def test_an_empty_table_is_a_sentence_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["A"], [], "nothing here")
    assert capsys.readouterr() == ("", "nothing here\n")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(title="t", status=400, code="c")
    print_json(problem)
    assert json.loads(capsys.readouterr().out)["code"] == "c"
    print_json([problem, problem])
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_times() -> None:
    moment = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
    assert (when(None), ago(None), between(None, None)) == ("", "", "")
    assert between(moment, moment + timedelta(seconds=90)) == "1m30s"
    assert ago(datetime.now(UTC) - timedelta(hours=2)).startswith("2h")
    assert when(moment) == moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert pairs({"a": 1, "b": 2}) == "a=1, b=2"


def test_names_are_no_emoji_and_keep_backslashes(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("A", "deploy:rocket:x"), ("B", "C:\\[tmp]\\")])
    out = capsys.readouterr().out
    assert "deploy:rocket:x" in out and "C:\\[tmp]\\" in out


EVIL = "a\x1b]0;title\x07b\x9b2Jc\u202ed\r\x7f"


def test_control_characters_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = r"a\x1b]0;title\x07b\x9b2Jc\u202ed\x0d\x7f"
    assert printable(EVIL) == shown
    assert printable("tab\tand\nline, ä and 漢") == "tab\tand\nline, ä and 漢"
    print_table(["A"], [[EVIL], ["two\nrows"]], "none")
    print_fields([("B", EVIL)])
    note(EVIL)
    out, err = capsys.readouterr()
    assert out.count(shown) == 2 and shown in err
    assert "two\\nrows" in out
    assert not set(out + err) & set("\x1b\x07\x9b\u202e\r\x7f")


def test_json_for_a_terminal_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(Problem(title=EVIL, status=400, code="c"))
    out = capsys.readouterr().out
    assert json.loads(out)["title"] == EVIL
    assert not set(out) & set("\x1b\x07\x9b\u202e\r\x7f")
