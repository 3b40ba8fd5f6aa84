"""What doctor says of a running agent and of its service."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from remote_agent import __version__
from remote_agent.doctor import running
from remote_agent.local.environment import notable
from remote_protocol.report import Finding, Status

ONLINE: dict[str, Any] = {
    "server": "https://h", "connected_seconds": 5.0, "link_failure": "", "condition": "taking jobs",
    "accepting": True, "draining": False, "paused": False, "capacity": {"default": 3, "big": 1},
    "jobs": 1, "version": __version__, "pid": 7,
}  # fmt: skip


def failed(finding: Finding, code: str) -> str:
    assert (finding.status, finding.code) == (Status.FAIL, code), finding
    assert finding.finding and finding.cure
    return f"{finding.finding} {finding.why} {finding.cure}"


def test_a_registered_agent_that_does_not_run(tmp_path: Path) -> None:
    finding, status = running.agent(tmp_path, registered=True)
    assert status is None
    assert "remote-agent run" in failed(finding, "agent_not_running")
    assert running.agent(tmp_path, registered=False)[0].code == "not_registered"
    skipped = running.checks_of(None, {}, tmp_path)
    assert {(one.status, one.code) for one in skipped} == {(Status.SKIP, "no_agent_runs")}


def test_an_agent_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_agent.local.control._TIMEOUT", 0.1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen()
        finding, status = running.agent(tmp_path, registered=True)
    assert status is None
    assert "restart it" in failed(finding, "agent_silent")


def test_an_agent_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ask", lambda *_: {**ONLINE, "version": "0.0.1"})
    finding, status = running.agent(tmp_path, registered=True)
    assert status is not None
    assert "0.0.1" in failed(finding, "agent_outdated")


def test_the_link() -> None:
    assert running.link(ONLINE).status is Status.PASS
    away = {**ONLINE, "connected_seconds": None, "link_failure": "nothing listens at h:1"}
    assert "nothing listens at h:1" in failed(running.link(away), "link_down")


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"paused": True, "condition": "paused: new disk"}, "agent_paused"),
        ({"draining": True, "condition": "draining, as asked for on the host"}, "agent_draining"),
        ({"condition": "disk below its reserve: 1 B free of 1 GiB"}, "agent_blocked"),
    ],
)
def test_what_keeps_it_from_taking_jobs(state: dict[str, Any], code: str) -> None:
    assert running.condition(ONLINE).status is Status.PASS
    assert state["condition"] in failed(
        running.condition({**ONLINE, "accepting": False, **state}), code
    )


def test_its_places() -> None:
    assert running.capacity(ONLINE).finding == "1 of 4 places are taken"
    assert "wait in their queues" in running.capacity({**ONLINE, "jobs": 4}).why
    assert running.capacity({**ONLINE, "capacity": {}}).code == "not_assigned"


def test_an_environment_that_leads_elsewhere() -> None:
    here = {"HTTPS_PROXY": "http://u:secret@p:3128", "PATH": "/bin", "LANG": "C"}
    assert running.environment(notable(here), notable(here)).status is Status.PASS
    service = {"PATH": "/usr/bin", "LANG": "C"}
    said = failed(running.environment(notable(service), notable(here)), "environment_differs")
    assert "HTTPS_PROXY: agent not set, here http://***@p:3128" in said
    assert "secret" not in said and "PATH" not in said
    other = {**here, "HTTPS_PROXY": "http://u:other@p:3128"}
    failed(running.environment(notable(other), notable(here)), "environment_differs")
    harmless = running.environment(notable({**here, "PATH": "/x"}), notable(here))
    assert harmless.status is Status.PASS and "PATH: agent /x, here /bin" in harmless.finding
    assert running.environment(None, {}).status is Status.SKIP


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("ActiveState=active\nSubState=running\nUnitFileState=enabled", "ok"),
        ("ActiveState=failed\nSubState=failed\nResult=exit-code\nNRestarts=3", "service_failed"),
        ("ActiveState=activating\nSubState=auto-restart\nNRestarts=9", "service_restarting"),
        ("ActiveState=inactive\nSubState=dead\nResult=success", "service_inactive"),
    ],
)
@pytest.mark.parametrize("scope", ["system", "user"])
def test_the_service(tmp_path: Path, state: str, code: str, scope: str) -> None:
    program = tmp_path / "systemctl"
    loaded, missing = f"LoadState=loaded\n{state}", "LoadState=not-found"
    texts = (missing, loaded) if scope == "user" else (loaded, missing)
    program.write_text(
        f"#!/bin/sh\nif [ \"$1\" = --user ]; then echo '{texts[1]}'; else echo '{texts[0]}'; fi\n"
    )
    program.chmod(0o700)
    found = running.service(tmp_path, str(program))
    assert found.code == code, found
    if code != "ok":
        starts = code != "service_restarting"
        assert ("--user" in found.cure) == (scope == "user")
        assert ("remote-agent service start" in found.cure) == (starts and scope == "system")


def test_no_service(tmp_path: Path) -> None:
    assert running.service(tmp_path / "no", "/bin/true").code == "no_service"
    assert running.service(tmp_path, "/bin/true").code == "no_service"
    assert running.service(tmp_path, str(tmp_path / "missing")).code == "no_service"
