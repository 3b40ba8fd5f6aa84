"""Lists: nothing that matters is folded or cut, and a pipe gets one row a line."""

from __future__ import annotations

import json
import os

import pytest

from remote_client.cli.options import Look
from remote_client.cli.table import Column, cells, laid_out, print_list

COLUMNS = (
    Column("ID", lambda item: item["id"], brief=lambda item: item["id"][-8:]),
    Column("NAME", lambda item: item["name"], cut=12),
    Column("STATE", lambda item: "succeeded"),
    Column("AGENT", lambda item: item.get("agent", ""), drop=1),
    Column("ALL", lambda item: "all", wide=True),
    Column("REMARK", lambda item: item["remark"], cut=12, drop=2),
)
ITEMS = [
    {"id": f"01KADVTZ7WFFFFFFFFFFFFFF{n:02}", "name": f"job {n} " * 9, "remark": "because " * n}
    for n in range(10)
]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 200])
def test_rows_fit_and_ids_and_states_stay_whole(width: int) -> None:
    lines = laid_out(ITEMS, COLUMNS, Look(), width)
    assert len(lines) == 11
    assert max(cells(line) for line in lines) <= max(width, 35)
    for item, line in zip(ITEMS, lines[1:], strict=True):
        assert line.startswith(item["id"][-8:] + "  job")
        assert "  succeeded" in line


def test_columns_go_before_what_matters_does() -> None:
    assert "REMARK" in laid_out(ITEMS, COLUMNS, Look(), 80)[0]
    # Nobody has an agent, so that its column goes first.
    assert "AGENT" not in laid_out(ITEMS, COLUMNS, Look(), 80)[0]
    assert laid_out(ITEMS, COLUMNS, Look(), 40)[0].split() == ["ID", "NAME", "STATE"]


def test_a_pipe_gets_everything_on_one_line_each() -> None:
    lines = laid_out(ITEMS, COLUMNS, Look(), None)
    assert len(lines) == 11
    for item, line in zip(ITEMS, lines[1:], strict=True):
        assert item["id"] in line and item["name"].rstrip() in line
        assert line.endswith(item["remark"].rstrip())
    assert "ALL" not in lines[0] and "ALL" in laid_out(ITEMS, COLUMNS, Look("wide"), None)[0]


def test_wide_characters_take_two_places() -> None:
    assert (cells("漢字"), cells("e\u0301"), cells("abc")) == (4, 1, 3)
    items = [{"id": "1", "name": "漢字" * 40, "remark": ""}, {"id": "2", "name": "a", "remark": ""}]
    lines = laid_out(items, COLUMNS[:3], Look(headers=False), 40)
    assert cells(lines[0]) <= 40 and "…" in lines[0]
    assert cells(lines[0][: lines[0].index("succ")]) == cells(lines[1][: lines[1].index("succ")])


def test_what_others_wrote_stays_on_its_line() -> None:
    items = [{"id": "1", "name": "a\nb\x1b[2J\tc", "remark": ""}]
    (line,) = laid_out(items, COLUMNS, Look(headers=False), None)
    assert "a\\nb\\x1b[2J\\tc" in line


def test_looks(capsys: pytest.CaptureFixture[str]) -> None:
    page = {"items": ITEMS[:2], "next_cursor": None}
    print_list(page, COLUMNS, Look(quiet=True), "none", "id")
    assert capsys.readouterr().out.splitlines() == [item["id"] for item in ITEMS[:2]]
    print_list(page, COLUMNS, Look("json"), "none", "id")
    assert json.loads(capsys.readouterr().out) == page
    print_list(page, COLUMNS, Look(headers=False), "none", "id")
    assert "STATE" not in capsys.readouterr().out
    print_list({"items": []}, COLUMNS, Look(), "nothing here", "id")
    assert capsys.readouterr() == ("", "remotectl: nothing here\n")
    for quiet in (Look(quiet=True), Look("json")):
        print_list({"items": []}, COLUMNS, quiet, "nothing here", "id")
        assert capsys.readouterr().err == ""


def test_a_terminal_decides_the_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((40, 20)))
    monkeypatch.setenv("NO_COLOR", "1")
    print_list({"items": ITEMS}, COLUMNS, Look(), "none", "id")
    assert max(cells(line) for line in capsys.readouterr().out.splitlines()) <= 40
