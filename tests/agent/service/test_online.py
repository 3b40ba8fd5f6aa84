"""Waiting for the connection, and the cause when it does not come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote_agent.errors import AgentError
from remote_agent.local.control import NotRunning
from remote_agent.service import online
from remote_agent.service.online import wait_until_online
from remote_agent.service.port import ServiceState
from tests.agent.service.fakes import FakePort

RUNNING = ServiceState(installed=True, active="active", pid=7, words="server away, 0 jobs")


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent on the control socket says; nothing for none."""
    said: dict[str, Any] = {}

    def ask(state_dir: Path, request: dict[str, Any]) -> dict[str, Any]:
        if not said:
            raise NotRunning("none")
        return said

    monkeypatch.setattr(online, "ask", ask)
    monkeypatch.setattr(online, "_LOOK", 0.0)
    return said


def test_the_status_of_the_one_that_was_started(tmp_path: Path, status: dict[str, Any]) -> None:
    port = FakePort(tmp_path, RUNNING)
    status.update(pid=7, connected_seconds=0.5, name="n")
    assert wait_until_online(port)["name"] == "n"
    status["pid"] = 6  # the one before it, which is still there
    with pytest.raises(AgentError, match=r"not online after 0.01 s"):
        wait_until_online(port, 0.01)


def test_why_the_link_is_down(tmp_path: Path, status: dict[str, Any]) -> None:
    status.update(pid=7, connected_seconds=None, link_failure="no route \033[2Jto host")
    with pytest.raises(
        AgentError, match=r"the service is active, but not online .*no route \\x1b\[2J"
    ):
        wait_until_online(FakePort(tmp_path, RUNNING), 0.01)


def test_one_that_has_failed_is_not_waited_for(tmp_path: Path, status: dict[str, Any]) -> None:
    port = FakePort(tmp_path, replace(RUNNING, active="failed"))
    port.words = ["an older one", "the token was revoked"]
    with pytest.raises(AgentError, match="again and again: the token was revoked"):
        wait_until_online(port)


def test_one_that_crashes_again_and_again(tmp_path: Path, status: dict[str, Any]) -> None:
    class Crashing(FakePort):
        def state(self) -> ServiceState:
            self.known = replace(self.known, restarts=self.known.restarts + 1)
            return self.known

    with pytest.raises(AgentError, match="again and again: server away, 0 jobs"):
        wait_until_online(Crashing(tmp_path, RUNNING))


def test_one_that_has_ended_is_not_waited_for(tmp_path: Path, status: dict[str, Any]) -> None:
    port = FakePort(tmp_path, replace(RUNNING, active="inactive", ended=True))
    port.words = ["the token was revoked"]
    with pytest.raises(AgentError, match="not started again: the token was revoked"):
        wait_until_online(port)


def test_one_that_says_nothing(tmp_path: Path, status: dict[str, Any]) -> None:
    with pytest.raises(AgentError, match="its log does not say why"):
        wait_until_online(FakePort(tmp_path, replace(RUNNING, words="")), 0.0)
