"""The agent's own log from a cursor on, over rotations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remote_agent.local.log_reader import BEHIND, LONGEST, NEWEST, LogReader, shown
from remote_protocol.limits import MAX_LOG_LINE, MAX_LOG_LINES


def line(number: int, level: str = "info", **more: object) -> str:
    known = {"event": f"event {number}", "level": level, "logger": "agent"}
    return json.dumps({**known, "timestamp": f"T{number}", **more}) + "\n"


def events(lines: list[str]) -> list[str]:
    return [text.partition(": ")[2] for text in lines]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.log"


def everything(reader: LogReader, cursor: str = "", level: str = "debug") -> tuple[list[str], str]:
    """All lines from a cursor on, and the cursor after them."""
    found: list[str] = []
    while (batch := reader.read(cursor, level)) is not None:
        lines, cursor = batch
        assert len(lines) <= MAX_LOG_LINES
        found += lines
    return found, cursor


def test_lines_come_once_and_what_is_added_later(path: Path) -> None:
    path.write_text("".join(line(n) for n in range(300)))
    reader = LogReader(path, 4)
    found, cursor = everything(reader)
    assert events(found) == [f"event {n}" for n in range(300)]
    assert reader.read(cursor, "debug") is None
    with path.open("a") as file:
        file.write(line(300) + line(301)[:9])
        file.flush()
        later, cursor = everything(reader, cursor)
        assert events(later) == ["event 300"], "a line that is being written waits"
        file.write(line(301)[9:])
    assert events(everything(reader, cursor)[0]) == ["event 301"]


def test_a_cursor_holds_over_rotations_and_restarts(path: Path) -> None:
    path.write_text(line(1) + line(2))
    _, cursor = everything(LogReader(path, 4))
    with path.open("a") as file:
        file.write(line(3))
    path.rename(path.with_name("agent.log.1"))
    path.write_text(line(4))
    path.with_name("agent.log.1").rename(path.with_name("agent.log.2"))
    path.rename(path.with_name("agent.log.1"))
    path.write_text(line(5))
    assert events(everything(LogReader(path, 4), cursor)[0]) == ["event 3", "event 4", "event 5"]


def test_what_was_rotated_away_is_said(path: Path) -> None:
    path.write_text(line(1))
    _, cursor = everything(LogReader(path, 1))
    path.write_text(line(7))
    found, cursor = everything(LogReader(path, 1), cursor)
    assert found[0] == "… what came before is not in the agent's log any more"
    assert events(found[1:]) == ["event 7"]
    assert everything(LogReader(path, 1), cursor)[0] == []


def test_what_is_far_behind_is_skipped_and_counted(path: Path) -> None:
    pad = "x" * 1000
    count = 2 * BEHIND // 1000
    path.write_text("".join(line(n, pad=pad) for n in range(count)))
    found, _ = everything(LogReader(path, 4))
    said = found[0]
    kept = len(found) - 1
    assert said == f"… {count - kept:,} lines were not sent: the log grew faster than it is sent"
    assert NEWEST / 2000 < kept <= NEWEST / 1000
    assert events(found)[-1].startswith(f"event {count - 1} ")


def test_skipping_goes_over_files(path: Path) -> None:
    pad = "x" * 1000
    path.write_text(line(0))
    _, cursor = everything(LogReader(path, 1))
    with path.open("a") as file:
        file.write("".join(line(n, pad=pad) for n in range(1, 1001)))
    path.rename(path.with_name("agent.log.1"))
    path.write_text("".join(line(n, pad=pad) for n in range(1001, 2001)))
    found, _ = everything(LogReader(path, 1), cursor)
    skipped = int(found[0].split()[1].replace(",", ""))
    assert skipped + len(found) - 1 == 2000
    assert events(found)[-1].startswith("event 2000 ")


def test_lines_without_an_end_and_long_ones_are_cut(path: Path) -> None:
    path.write_text(line(1, pad="y" * 2 * LONGEST) + line(2))
    found, _ = everything(LogReader(path, 4))
    assert all(len(text) <= MAX_LOG_LINE for text in found)
    assert events(found)[-1] == "event 2"


def test_levels() -> None:
    for level, wanted in (("debug", 4), ("info", 3), ("warning", 2), ("error", 1)):
        lines = [line(1, own).encode() for own in ("debug", "info", "warning", "error")]
        assert sum(bool(list(shown(one, level))) for one in lines) == wanted


def test_lines_are_for_people() -> None:
    stored = line(1, job="01A", reason="no room", left=3, exception="Traceback:\n  x\nValueError")
    assert list(shown(stored.encode(), "info")) == [
        'T1 info    agent: event 1 job=01A reason="no room" left=3',
        "    Traceback:",
        "      x",
        "    ValueError",
    ]
    assert list(shown(b"plain \xff words\n", "error")) == ["plain \ufffd words"]
    assert list(shown(b"[1]\n", "error")) == ["[1]"]


def test_no_log_yet(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LogReader(path, 4).read("", "info")
    path.write_text("")
    assert LogReader(path, 4).read("", "info") is None
