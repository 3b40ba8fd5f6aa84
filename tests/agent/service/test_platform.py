"""The service manager of this host, and the program that is started by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.errors import AgentError
from remote_agent.service import platform
from remote_agent.service.launchd import Launchd
from remote_agent.service.platform import own_program, service_manager
from remote_agent.service.systemd import Systemd
from remote_agent.service.windows import WindowsService
from tests.agent.service.fakes import FakeControl


class Facts:
    def __init__(self, system: str) -> None:
        self.system = system


def test_each_system_has_its_own_or_says_that_it_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "host_facts", lambda: Facts("Linux"))
    assert isinstance(service_manager(), Systemd)
    monkeypatch.setattr(platform, "host_facts", lambda: Facts("Darwin"))
    for uid, target in ((0, "system"), (os.geteuid() or 65534, "gui/")):
        monkeypatch.setattr("os.geteuid", lambda uid=uid: uid)
        mac = service_manager()
        assert isinstance(mac, Launchd) and mac._place.domain.startswith(target)
    monkeypatch.setattr(platform, "host_facts", lambda: Facts("Plan9"))
    with pytest.raises(AgentError, match=r"not installed on Plan9 yet: .*remote-agent run"):
        service_manager()
    monkeypatch.setattr(platform, "service_control", FakeControl)
    assert isinstance(service_manager(), WindowsService)


def test_linux_needs_nothing_that_the_binary_leaves_out() -> None:
    probe = (
        "import sys; sys.modules['xml'] = None; from remote_agent.service import platform;"
        "import remote_agent.cli.service; platform.service_manager();"
        "assert 'plistlib' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_verbs_load_only_what_they_need() -> None:
    probe = (
        "import sys; import remote_agent.cli.service as service;"
        "service.service_manager();"
        "assert not {'remote_agent.journal', 'remote_protocol.messages'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def executable(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_program_is_the_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = executable(tmp_path / "called" / "remote-agent")
    link = tmp_path / "bin" / "remote-agent"
    link.parent.mkdir()
    link.symlink_to(called)
    monkeypatch.setattr(sys, "argv", [str(link), "service"])
    assert own_program() == str(link), "a link may lead to the next version one day"
    # python -m remote_agent: the script beside the interpreter.
    beside = executable(tmp_path / "venv" / "remote-agent")
    monkeypatch.setattr(sys, "argv", ["/x/remote_agent/__main__.py", "service"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python3"))
    assert own_program() == beside
    Path(beside).unlink()
    monkeypatch.setenv("PATH", str(link.parent))
    assert own_program() == str(link)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(AgentError, match="no program remote-agent was found"):
        own_program()


def test_one_binary_is_the_file_that_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = executable(tmp_path / "bin" / "remote-agent-linux")
    unpacked = executable(tmp_path / "state" / "program" / "1" / "remote-agent")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", unpacked)
    for called in (binary, "remote-agent-linux"):
        monkeypatch.setattr(sys, "argv", [called, "service"])
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        assert own_program() == binary
    monkeypatch.setattr(sys, "argv", ["gone", "service"])
    with pytest.raises(AgentError, match="call it by its path"):
        own_program()


def test_on_windows_it_is_the_program_of_the_msi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "geteuid")
    with pytest.raises(AgentError, match="needs the program of the MSI"):
        own_program()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert own_program() == sys.executable
