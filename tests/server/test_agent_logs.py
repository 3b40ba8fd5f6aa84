"""What the server keeps of agents' own logs: bounded, safe to print, whole after crashes."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pytest

from remote_protocol.limits import MAX_LOG_LINE
from remote_server.agent_logs import AgentLogs
from remote_server.disk.reserve import Disk, Reserve
from remote_server.domain.change_set import ChangeSet


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def logs(tmp_path: Path, told: list[str]) -> AgentLogs:
    return again(tmp_path, told)


def again(folder: Path, told: list[str] | None = None, most: int = 4096) -> AgentLogs:
    """The logs, as another start of the server finds them."""
    changed = [] if told is None else told
    return AgentLogs(folder / "agent-logs", Reserve(folder, 0), most, changed.append)


def text(logs: AgentLogs, agent: str = "a", offset: int = 0) -> str:
    found = b""
    while True:
        data, offset = logs.read(agent, offset, 100)
        if not data:
            return found.decode()
        found += data


def test_lines_are_kept_with_what_was_sent(
    logs: AgentLogs, told: list[str], tmp_path: Path
) -> None:
    assert logs.cursor("a") == "" and text(logs) == ""
    assert logs.append("a", ["one", "two"], "c1") and logs.append("b", ["other"], "x")
    assert told == ["a", "b"]
    assert logs.append("a", [], "c2") and told == ["a", "b"], "nothing new to see"
    for each in (logs, again(tmp_path)):
        assert (each.cursor("a"), text(each), text(each, "b")) == ("c2", "one\ntwo\n", "other\n")
        assert each.extent("a") == (0, 8)
    assert text(logs, offset=4) == "two\n" and text(logs, offset=99) == ""


def test_the_newest_are_kept(logs: AgentLogs, tmp_path: Path) -> None:
    for number in range(1000):
        logs.append("a", [f"line {number:04}"], str(number))
    folder = tmp_path / "agent-logs" / "a"
    assert sum(file.stat().st_size for file in folder.glob("*.log")) <= 4096
    assert len(list(folder.iterdir())) == 3
    for each in (logs, again(tmp_path)):
        start, end = each.extent("a")
        assert end == 10_000 and 2000 < end - start <= 4096
        lines = text(each).splitlines()
        assert lines == [f"line {number:04}" for number in range(start // 10, 1000)]
        assert text(each, offset=each.last("a", 250)).count("\n") == 250, "over both files"
        assert each.last("a", 0) == end and each.last("a", 5000) == start


def test_lines_are_safe_and_short(logs: AgentLogs) -> None:
    logs.append("a", ["red \x1b[31m\r\nbell\x07 \ud800 \u202e", "x" * 5000], "\x00")
    first, second = text(logs).splitlines()
    assert first == "red \\x1b[31m\\x0d bell\\x07 \\ud800 \\u202e"
    assert len(second) == MAX_LOG_LINE


def test_none_is_wanted_or_there_is_no_room(tmp_path: Path) -> None:
    off = again(tmp_path, most=0)
    assert off.cursor("a") is None and not off.append("a", ["x"], "c")
    full = AgentLogs(tmp_path / "agent-logs", Reserve(tmp_path, 10, lambda: Disk(1000, 0)), 4096)
    assert full.cursor("a") == "" and not full.append("a", ["x"], "c")
    assert text(full) == ""


def test_a_disk_that_refuses_keeps_the_agent_waiting(logs: AgentLogs, tmp_path: Path) -> None:
    (tmp_path / "agent-logs").write_text("no folder")
    assert not logs.append("a", ["x"], "c") and not logs.append("a", ["x"], "c")
    (tmp_path / "agent-logs").unlink()
    assert logs.append("a", ["x"], "c")


def test_what_a_crash_left_is_written_over(logs: AgentLogs, tmp_path: Path) -> None:
    logs.append("a", ["one"], "c1")
    folder = tmp_path / "agent-logs" / "a"
    index = (folder / "index").read_bytes()
    logs.append("a", ["two, and long"], "c2")
    # The lines were written, the index was not.
    (folder / "index").write_bytes(index)
    crashed = again(tmp_path)
    assert (crashed.cursor("a"), text(crashed)) == ("c1", "one\n")
    crashed.append("a", ["2"], "c2")
    assert text(crashed) == "one\n2\n"


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"start": 5, "middle": 1}'])
def test_a_damaged_index_begins_anew(logs: AgentLogs, tmp_path: Path, damaged: bytes) -> None:
    logs.append("a", ["one"], "c1")
    (tmp_path / "agent-logs" / "a" / "index").write_bytes(damaged)
    begun = again(tmp_path)
    assert (begun.cursor("a"), text(begun)) == ("", "")
    assert begun.append("a", ["new"], "c") and text(begun) == "new\n"


def test_a_file_that_is_gone_is_passed_over(logs: AgentLogs, tmp_path: Path) -> None:
    logs.append("a", ["one"], "c1")
    (tmp_path / "agent-logs" / "a" / "0.log").unlink()
    assert text(logs) == "" and logs.last("a", 5) == 0


async def test_it_goes_with_its_agent_and_with_time(logs: AgentLogs, tmp_path: Path) -> None:
    for agent in ("here", "gone", "old"):
        logs.append(agent, ["x"], "c")
    os.utime(tmp_path / "agent-logs" / "old" / "index", (1.0, 1.0))

    async def existing(names: Collection[str]) -> Collection[str]:
        return {"here", "old"} & set(names)

    await logs.sweep(existing, before=1000.0)
    assert [path.name for path in (tmp_path / "agent-logs").iterdir()] == ["here"]
    assert logs.cursor("gone") == "" == logs.cursor("old")
    logs.committed(ChangeSet(removed_agents={"here": "deleted"}))
    assert not list((tmp_path / "agent-logs").iterdir())
    await again(tmp_path / "nowhere").sweep(existing, before=0.0)
