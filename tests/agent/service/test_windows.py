"""The service of Windows hosts, with a service control manager in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.errors import AgentError
from remote_agent.processes import ServiceRecord, start_time
from remote_agent.service.own_log import COMPLAINTS
from remote_agent.service.port import ServiceState
from remote_agent.service.units import Choice
from remote_agent.service.windows import ACCOUNT, WindowsService
from tests.agent.service.fakes import FakeControl

CHOICE = Choice("C:\\Program Files\\p\\remote-agent.exe", ACCOUNT, "standard")
COMMAND = '"C:\\Program Files\\p\\remote-agent.exe" _service'


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def service(control: FakeControl, tmp_path: Path) -> WindowsService:
    return WindowsService(control, tmp_path / "data")


def test_only_administrators_change_it(service: WindowsService, control: FakeControl) -> None:
    service.check()
    control.administrator = False
    with pytest.raises(AgentError, match="Run as administrator"):
        service.check()


def test_its_folders_are_closed_to_others(service: WindowsService, control: FakeControl) -> None:
    made = service.prepare(CHOICE.program, ACCOUNT, "standard")
    assert made == [str(service.config_dir), str(service.state_dir)]
    assert control.protected == {
        service.config_dir: (ACCOUNT, False),
        service.state_dir: (ACCOUNT, True),
    }
    assert service.prepare(CHOICE.program, ACCOUNT, "standard") == []


def test_it_is_installed_once_and_again_for_changes(
    service: WindowsService, control: FakeControl
) -> None:
    assert service.state() == ServiceState(installed=False)
    assert service.install(CHOICE) == ["service remote-agent"]
    assert control.settings is not None and control.settings.command == COMMAND
    assert control.settings.password is None
    assert service.install(CHOICE) == []
    other = Choice(CHOICE.program, ".\\builder", "standard", password="p")
    assert service.install(other) == ["service remote-agent"]
    assert control.settings.account == ".\\builder" and control.settings.password == "p"
    # A password that was changed cannot be seen.
    assert service.install(other) == ["service remote-agent"]
    assert "password" not in repr(other)


def test_its_states_have_the_words_of_systemd(
    service: WindowsService, control: FakeControl
) -> None:
    for state, code, active in (
        ("starting", 0, "activating"),
        ("running", 0, "active"),
        ("stopping", 0, "deactivating"),
        ("stopped", 0, "inactive"),
        ("stopped", 2, "failed"),
    ):
        control.record = ServiceRecord(state, 7, code, COMMAND, ACCOUNT, True)
        found = service.state()
        assert (found.active, found.installed, found.enabled) == (active, True, True)
        assert (found.program, found.user, found.pid) == (CHOICE.program, ACCOUNT, 7)
    assert found.words == "it ended with exit code 2"


def test_stop_and_removal_kill_jobs_only_when_asked(
    service: WindowsService, control: FakeControl
) -> None:
    service.install(CHOICE)
    attempt = service.state_dir / "attempts" / "01M8CE7YSBYBB06HS9CQC0EBQ7.1"
    attempt.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as shim:
        body = {"shim_pid": shim.pid, "shim_start_time": start_time(shim.pid)}
        (attempt / "started.json").write_text(json.dumps(body))
        service.start()
        service.restart()
        assert shim.poll() is None and control.calls == ["install", "start", "stop", "start"]
        # It is reaped here: to others a zombie is alive.
        control.calls.clear()
        service._timeout = 0.0
        assert service.remove() == ["service remote-agent"]
        assert shim.wait(20) != 0
    assert control.calls == ["stop", "delete"] and service.remove() == []


def test_what_the_manager_refuses_is_a_sentence(
    service: WindowsService, control: FakeControl
) -> None:
    control.error = OSError(5, "Access is denied")
    with pytest.raises(AgentError, match="the service remote-agent: install: Access is denied"):
        service.install(CHOICE)
    control.error = TimeoutError("the service remote-agent did not stop within 90 s")
    control.record = ServiceRecord("running", 7, 0, COMMAND, ACCOUNT, True)
    with pytest.raises(AgentError, match=r"did not stop within 90 s; look at it"):
        service.stop(jobs_too=False)


def test_complaints_come_from_its_file(service: WindowsService) -> None:
    assert service.complaints() == []
    file = service.state_dir / "logs" / COMPLAINTS
    file.parent.mkdir(parents=True)
    at = "2026-01-01T00:00:00Z"
    file.write_text(f"{at} one\n{at} two\x1b\n{at} one\n")
    assert service.complaints() == ["one", "two\\x1b"]
