"""`remote-server dev`: a server, a real agent, and nothing left when it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from remote_server.cli.dev import AgentMissing, find_agent
from tests.support.server_program import DEADLINE, Program, call, started


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a login, whose files are nobody else's."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def processes_about(folder: Path) -> list[str]:
    """Command lines and environments of living processes that name this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            about = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(folder).encode() in about and state != "Z":
            found.append(about.replace(b"\0", b" ").decode(errors="replace")[:200])
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at /proc")
def test_a_job_runs_and_ctrl_c_ends_both(tmp_path: Path) -> None:
    data = tmp_path / "dev"
    with started(
        "dev", "--listen", "127.0.0.1:0", "--data-dir", data, "--capacity", "3", until="Ctrl-C"
    ) as server:
        said = "".join(server.said)
        match = re.search(r"admin token +(\S+)", said)
        assert match
        token = match[1]
        made = server.get("/api/v1/jobs", token, body={"command": ["sh", "-c", "exit 7"]})
        job = reaches(server, token, made["id"], "failed")
        assert (job["exit_code"], job["agent"]) == (7, "local")
        agent = server.get("/api/v1/agents/local", token)
        assert (agent["queues"], agent["capacity"]) == (["default"], {"default": 3})
        assert server.get("/api/v1/registration-tokens", token)["items"][0]["revoked"]
        server.get("/api/v1/jobs", token, body={"command": ["sleep", "1000"]})
        assert server.stop(signal.SIGINT) == 0
    nobody_about(data)


def test_the_first_paste_and_those_after_it_work_anywhere(tmp_path: Path, home: Path) -> None:
    """As in another terminal: another directory, no variable, nothing on the PATH."""

    def type_in(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["env", "-i", f"HOME={home}", "PATH=/usr/bin:/bin", "sh", "-c", line],
            cwd="/", capture_output=True, text=True, timeout=DEADLINE, check=False,
        )  # fmt: skip

    line = ("dev", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "my data")
    with started(*line, until="Ctrl-C") as server:
        pasted = pasted_lines(server)
        assert len(pasted) == 1
        said = type_in(pasted[0])
        assert (said.returncode, said.stdout) == (0, "hello\n"), said.stderr
        said = type_in(pasted[0].replace("run -- echo hello", "job list"))
        assert said.returncode == 0 and "succeeded" in said.stdout
    # Without a login, the lines say everything themselves.
    for file in home.rglob("*.json"):
        file.unlink()
    with started(*line, "--no-login", until="Ctrl-C") as server:
        pasted = pasted_lines(server)
        assert len(pasted) == 2 and pasted[0].startswith("export REMOTE_URL=")
        said = type_in("\n".join(pasted))
        assert (said.returncode, said.stdout) == (0, "hello\n"), said.stderr


def pasted_lines(server: Program) -> list[str]:
    """What stands under "In another terminal:"."""
    said = "".join(server.said).partition("In another terminal:\n")[2]
    return [line.strip() for line in said.splitlines() if line.startswith("  ")]


def test_a_closed_terminal_ends_it(tmp_path: Path) -> None:
    line = ("dev", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "dev")
    with started(*line, until="Ctrl-C") as server:
        assert server.stop(signal.SIGHUP) == 0
    nobody_about(tmp_path / "dev")


def test_a_second_start_uses_the_same_agent(tmp_path: Path) -> None:
    data = tmp_path / "dev"
    for _ in range(2):
        with started(
            "dev", "--listen", "127.0.0.1:0", "--data-dir", data, until="Ctrl-C"
        ) as server:
            token = (data / "admin-token").read_text().strip()
            agents = server.get("/api/v1/agents", token)["items"]
            assert [agent["name"] for agent in agents] == ["local"]
            assert server.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at /proc")
def test_killed_it_leaves_neither_agent_nor_job(tmp_path: Path) -> None:
    data = tmp_path / "dev"
    line = ("dev", "--listen", "127.0.0.1:0", "--data-dir", data)
    with started(*line, until="Ctrl-C") as server:
        token = (data / "admin-token").read_text().strip()
        job = server.get("/api/v1/jobs", token, body={"command": ["sleep", "1000"]})["id"]
        reaches(server, token, job, "running")
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    # At once again: the next agent waits for its predecessor, and tells how the job ended.
    with started(*line, until="Ctrl-C") as server:
        ended = reaches(server, token, job, "cancelled")
        assert "stopped" in ended["end_detail"], ended
        second = server.get("/api/v1/jobs", token, body={"command": ["sleep", "1000"]})["id"]
        reaches(server, token, second, "running")
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    nobody_about(data)


def reaches(server: Program, token: str, job: str, state: str) -> Any:
    ends = time.monotonic() + DEADLINE
    while (view := server.get(f"/api/v1/jobs/{job}", token))["state"] != state:
        assert time.monotonic() < ends, view
        time.sleep(0.02)
    return view


def nobody_about(folder: Path) -> None:
    ends = time.monotonic() + DEADLINE
    while left := processes_about(folder):
        assert time.monotonic() < ends, left
        time.sleep(0.02)


def test_without_the_agent_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AgentMissing, match="pip install remote-agent"):
        find_agent()
    (tmp_path / "remote-agent").touch(0o755)
    assert find_agent() == str(tmp_path / "remote-agent")


def test_a_wrong_configuration_is_named(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[server]\nlisten = '127.0.0.1:0'\ncolour = 1\n")
    said = call("dev", "--config", file)
    assert said.returncode == 2
    assert "colour: unknown key" in said.stderr
