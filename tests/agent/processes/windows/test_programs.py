"""Which program a job means."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import subprocess
from pathlib import Path

import pytest

from remote_agent.processes.types import SpawnFailed
from remote_agent.processes.windows import programs


def test_the_jobs_own_path_is_searched_with_extensions(tmp_path: Path) -> None:
    for name in ("tool.cmd", "tool.exe", "other.bat", "text"):
        (tmp_path / name).write_bytes(b"")
    env = {"PATH": f'C:\\nothing;"{tmp_path}"', "COMSPEC": "C:\\cmd.exe"}
    home = str(tmp_path)
    assert programs.find("tool", env, home) == str(tmp_path / "tool.EXE")
    assert programs.find("tool.cmd", env, home) == str(tmp_path / "tool.cmd")
    assert programs.find(".\\tool", {}, home) == str(tmp_path / "tool.EXE")
    with pytest.raises(SpawnFailed, match="not found; it is in no directory") as missing:
        programs.find("missing", env, home)
    assert missing.value.exit_code == 127
    with pytest.raises(SpawnFailed, match="not executable") as text:
        programs.find("text", env, home)
    assert text.value.exit_code == 126
    with pytest.raises(SpawnFailed, match="working directory"):
        programs.find("tool", env, str(tmp_path / "missing"))
    program, line = programs.command_line(["other", "a b"], env, home)
    assert program == "C:\\cmd.exe"
    assert line.startswith('"C:\\cmd.exe" /d /s /c "') and line.endswith('other.BAT "a b""')
    plain = programs.command_line(["tool", "a b"], env, home)
    assert plain[1] == subprocess.list2cmdline(["tool", "a b"])


def test_scripts_by_their_shells() -> None:
    assert programs.script_name(["cmd"], "script") == "script.cmd"
    assert programs.script_name(["C:\\x\\pwsh.EXE"], "script") == "script.ps1"
    assert programs.script_name(["bash"], "script") == "script"
    assert programs.script_command(["cmd.exe"], "s.cmd") == ["cmd.exe", "/d", "/c", "s.cmd"]
    assert programs.script_command(["pwsh"], "s.ps1")[-2:] == ["-File", "s.ps1"]
    assert programs.script_command(["python", "-u"], "s") == ["python", "-u", "s"]


def test_the_words_of_a_shell() -> None:
    text = '"C:\\Program Files\\x\\bash.exe" -e  -u'
    assert programs.split_shell(text) == ["C:\\Program Files\\x\\bash.exe", "-e", "-u"]
