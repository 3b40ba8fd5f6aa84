"""Removing all of it, or what is left of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from remote_agent.errors import AgentError
from remote_agent.local.control import NotRunning
from remote_agent.service import account, uninstalling
from remote_agent.service.port import ServiceState
from remote_agent.service.uninstalling import uninstall
from tests.agent.service.fakes import FakePort

HERE = ServiceState(installed=True, active="active", pid=7, user="remote-agent")
ATTEMPT = "01M8CE7YSBYBB06HS9CQC0EBQ7.1"


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The agent on the state directory; nothing for none."""
    status: dict[str, Any] = {}

    def ask(state_dir: Path, request: dict[str, Any]) -> dict[str, Any]:
        if not status:
            raise NotRunning("none")
        return status

    monkeypatch.setattr(uninstalling, "ask", ask)
    monkeypatch.setattr(account, "remove", lambda name: name == "remote-agent")
    return status


@pytest.fixture
def host(tmp_path: Path, running: dict[str, Any]) -> FakePort:
    """One on which the service is installed."""
    (tmp_path / "state" / "attempts").mkdir(parents=True)
    (tmp_path / "state" / "identity.json").write_text("{}")
    (tmp_path / "etc").mkdir()
    for name in ("token", "agent.env"):
        (tmp_path / "etc" / name).write_text("x")
    return FakePort(tmp_path / "state", HERE)


def nobody(state_dir: Path) -> None:
    return None


def test_all_of_it_with_a_receipt_and_then_nothing(host: FakePort, tmp_path: Path) -> None:
    there: list[bool] = []

    def leave(state_dir: Path) -> str:
        there.append((state_dir / "identity.json").exists())
        return "n has left https://h"

    receipt = uninstall(host, leave)
    lines = receipt.lines()
    assert lines[0] == "removed  unit" and lines[-1] == "n has left https://h"
    for path in (tmp_path / "state", tmp_path / "etc" / "token", tmp_path / "etc"):
        assert f"removed  {path}" in lines and not path.exists()
    assert "removed  user remote-agent" in lines
    assert there == [True], "it is stopped, but knows its server still"


def test_a_second_time_there_is_nothing_to_do(
    tmp_path: Path, running: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "remove", lambda name: False)
    receipt = uninstall(FakePort(tmp_path / "state"), nobody)
    assert receipt.lines() == ["nothing of the service is on this host; nothing to do"]


def test_what_the_owner_wrote_is_kept_and_named(host: FakePort, tmp_path: Path) -> None:
    (tmp_path / "etc" / "agent.toml").write_text("")
    receipt = uninstall(host, nobody)
    assert receipt.kept == [str(tmp_path / "etc" / "agent.toml")]


@pytest.mark.parametrize("ended", [False, True])
def test_jobs_and_results_are_kept_unless_forced(
    host: FakePort, tmp_path: Path, ended: bool
) -> None:
    attempt = host.state_dir / "attempts" / ATTEMPT
    attempt.mkdir()
    if ended:
        (attempt / "exit.json").write_text("{}")
    words = "0 jobs run here and 1 results" if ended else "1 jobs run here and 0 results"
    with pytest.raises(AgentError, match=f"{words}.*{ATTEMPT}.*--force"):
        uninstall(host, nobody)
    assert "remove" not in host.calls and attempt.exists()
    uninstall(host, nobody, force=True)
    assert not host.state_dir.exists()


def test_what_a_binary_has_unpacked_for_root_goes_last(host: FakePort, tmp_path: Path) -> None:
    version = host.program_dir / "1.0-x"
    version.mkdir(parents=True)
    (version / "remote-agent").write_text("")
    lines = uninstall(host, nobody).lines()
    assert lines[-1] == f"removed  {host.program_dir}" and not host.program_dir.exists()


@pytest.mark.skipif(not Path("/proc/self/exe").exists(), reason="Linux knows who runs what")
def test_a_program_that_runs_is_kept(
    host: FakePort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "remove", lambda name: False)
    host.program_dir.mkdir()
    program = shutil.copy2(shutil.which("sleep") or "", host.program_dir)
    process = subprocess.Popen([program, "60"])
    kept = f"kept     {host.program_dir} (process {process.pid} runs from it)"
    try:
        assert kept in uninstall(host, nobody).lines()
        assert host.program_dir.exists()
    finally:
        process.kill()
        process.wait()
    # A binary that is called once more has unpacked itself again.
    assert uninstall(host, nobody).lines() == [
        "nothing of the service is on this host; nothing to do",
        f"removed  {host.program_dir}",
    ]


def test_an_agent_of_somebody_else_is_left_alone(
    host: FakePort, tmp_path: Path, running: dict[str, Any]
) -> None:
    running["pid"] = 8
    with pytest.raises(AgentError, match=r"not the service's .*process 8"):
        uninstall(host, nobody, force=True)
    assert host.state_dir.exists()
    running["pid"] = 7
    uninstall(host, nobody)


def test_half_of_an_installation_goes_too(host: FakePort, tmp_path: Path) -> None:
    host.known = ServiceState(installed=False)
    (tmp_path / "etc" / "agent.env").unlink()

    def damaged(state_dir: Path) -> str:
        raise AgentError("the identity makes no sense")

    lines = uninstall(host, damaged).lines()
    assert f"removed  {host.state_dir}" in lines and not host.state_dir.exists()
