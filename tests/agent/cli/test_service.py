"""The command `service`, with a service manager in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote_agent import processes
from remote_agent.cli import main
from remote_agent.cli import service as module
from remote_agent.connection import enrolment
from remote_agent.connection.identity import Identity, save_identity
from remote_agent.errors import Unreachable
from remote_agent.service import account, installing, uninstalling
from remote_agent.service.port import ServiceState
from tests.agent.service.fakes import FakePort

STATUS: dict[str, Any] = {"name": "n", "server": "https://h"}
HERE = ServiceState(
    installed=True, active="active", enabled=True, pid=7, words="online, 0 jobs",
    user="builder", program="/opt/p", profile="strict",
)  # fmt: skip


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePort:
    port = FakePort(tmp_path / "state")
    monkeypatch.setattr(module, "service_manager", lambda: port)
    monkeypatch.setattr(module, "own_program", lambda: "/opt/p/remote-agent")
    monkeypatch.setattr(module, "wait_until_online", lambda port, deadline: STATUS)
    monkeypatch.setattr(installing, "wait_until_online", lambda port, deadline: STATUS)
    monkeypatch.setattr(installing.install, "__defaults__", (False, tmp_path / "etc"))
    monkeypatch.setattr(uninstalling.uninstall, "__defaults__", (False, tmp_path / "etc"))
    monkeypatch.setattr(account, "exists", lambda name: True)
    monkeypatch.setattr(account, "remove", lambda name: False)
    monkeypatch.setattr(account, "own", lambda folder, user: False)
    monkeypatch.setattr(account, "check_program", lambda *given: None)
    monkeypatch.setenv("REMOTE_AGENT_STATE_DIR", str(tmp_path / "state"))
    return port


def test_install_says_what_it_wrote_and_that_it_is_online(
    port: FakePort, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("rrt_x\n")
    words = ["--server", "https://h", "--token-file", str(tmp_path / "token")]
    assert main(["service", "install", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "wrote    unit" in lines and lines[-1] == "online   n at https://h"
    assert (tmp_path / "etc" / "token").read_text() == "rrt_x\n"
    assert main(["service", "install", *words, "--no-start"]) == 0
    assert capsys.readouterr().out == (
        "installed already: /opt/p/remote-agent, as remote-agent, profile strict\n"
    )


def test_what_is_wrong_with_the_call(port: FakePort, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--server", "no url"]) == 2
    assert main(["service", "install", "--deadline", "soon"]) == 2
    assert main(["service", "reinstall"]) == 2
    capsys.readouterr()
    for verb in ("start", "stop", "restart"):
        assert main(["service", verb]) == 1
        assert "not installed: remote-agent service install" in capsys.readouterr().err


def test_verbs(port: FakePort, capsys: pytest.CaptureFixture[str]) -> None:
    port.known = HERE
    assert main(["service", "start"]) == main(["service", "restart"]) == 0
    assert capsys.readouterr().out == "online   n at https://h\n" * 2
    assert main(["service", "stop"]) == 0 and "run on" in capsys.readouterr().out
    assert main(["service", "stop", "--now"]) == 0 and "killed" in capsys.readouterr().out
    done = [call for call in port.calls if call != "check"]
    assert done == ["start", "restart", "stop", "stop jobs"]
    assert main(["service", "restart", "--deadline", "0"]) == 0
    assert capsys.readouterr().out == "", "nobody has waited"


def test_status_for_people_and_programs(port: FakePort, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "status"]) == 1
    assert "not installed" in capsys.readouterr().out
    port.known = HERE
    assert main(["service", "status"]) == 0
    text = capsys.readouterr().out
    assert "service    active, starts with the host" in text and "profile    strict" in text
    assert main(["service", "status", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["pid"] == 7
    port.known = replace(HERE, active="failed", enabled=False)
    assert main(["service", "status"]) == 1
    assert "failed, does not start with the host" in capsys.readouterr().out


def test_uninstall_leaves_the_server_or_says_that_it_could_not(
    port: FakePort, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(endpoint: object, token: str) -> None:
        raise Unreachable("h does not answer")

    for leave, words in (
        (away, "https://h was not told (h does not answer); it still lists this agent"),
        (lambda endpoint, token: None, "n has left https://h"),
    ):
        monkeypatch.setattr(enrolment, "unregister", leave)
        port.known = HERE
        save_identity(port.state_dir, Identity("https://h", "n", "rat_x"))
        assert main(["service", "uninstall"]) == 0
        text = capsys.readouterr().out
        assert words in text and f"removed  {port.state_dir}" in text
    assert main(["service", "uninstall"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_the_password_of_an_account_comes_from_a_file(
    port: FakePort, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    assert main(["service", "install", "--password-file", str(file)]) == 2
    assert "--password-file" in capsys.readouterr().err
    file.write_text("p w\r\n")
    assert main(["service", "install", "--password-file", str(file), "--no-start"]) == 0
    assert port.choice is not None and port.choice.password == "p w"
    assert "p w" not in capsys.readouterr().out and "p w" not in repr(port.choice)


def test_the_process_of_the_service_connects_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "serve", lambda name, body: 7 if name == "remote-agent" else 0)
    assert main(["_service"]) == 7

    def nobody(name: str, body: object) -> int:
        raise OSError(0, "no service control manager has started it", name)

    monkeypatch.setattr(processes, "serve", nobody)
    assert main(["_service"]) == 1
    assert "not started as a service: no service control" in capsys.readouterr().err
