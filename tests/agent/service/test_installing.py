"""Installing, with a service manager in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote_agent.errors import AgentError, ConfigError
from remote_agent.service import account, installing
from remote_agent.service.installing import Request, install
from remote_agent.service.units import USER_RANGE, Choice
from tests.agent.service.fakes import FakePort

REQUEST = Request("/opt/p/remote-agent", server="https://h", token="rrt_x")


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    known = {"builder"}
    monkeypatch.setattr(account, "exists", known.__contains__)
    monkeypatch.setattr(account, "make", known.add)
    monkeypatch.setattr(account, "own", lambda folder, user: False)
    monkeypatch.setattr(account, "check_program", lambda *given: None)
    monkeypatch.setattr(installing, "wait_until_online", lambda port, deadline: {"name": "n"})
    return known


@pytest.fixture
def port(tmp_path: Path, users: set[str]) -> FakePort:
    return FakePort(tmp_path / "state")


def test_account_settings_units_and_a_start(
    port: FakePort, users: set[str], tmp_path: Path
) -> None:
    done = install(port, REQUEST)
    assert "remote-agent" in users and "user remote-agent" in done.changed
    assert port.choice == Choice("/opt/p/remote-agent") and port.calls == ["check", "start"]
    token, environment = tmp_path / "etc" / "token", tmp_path / "etc" / "agent.env"
    assert token.read_text() == "rrt_x\n" and token.stat().st_mode & 0o777 == 0o600
    assert environment.read_text() == "REMOTE_AGENT_SERVER=https://h\n"
    assert done.status == {"name": "n"} and str(token) in done.changed


def test_again_nothing_changes_and_a_change_restarts(port: FakePort, tmp_path: Path) -> None:
    install(port, REQUEST)
    again = install(port, REQUEST)
    assert again.changed == [] and port.calls[-1] == "start"
    moved = install(port, replace(REQUEST, program="/opt/q/remote-agent"))
    assert moved.changed == ["unit"] and port.calls[-1] == "restart"


def test_who_does_not_wait_does_not(port: FakePort, monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(port: FakePort, deadline: float) -> None:
        raise AssertionError(f"it waits for {deadline} s")

    monkeypatch.setattr(installing, "wait_until_online", waits)
    done = install(port, replace(REQUEST, deadline=0.0))
    assert port.calls == ["check", "start"] and done.status is None


def test_a_binary_replaced_under_a_running_agent_restarts_it(
    port: FakePort, tmp_path: Path
) -> None:
    assert not install(port, REQUEST).restarted
    port.known = replace(port.known, outdated=True)
    done = install(port, REQUEST)
    assert done.changed == [] and done.restarted and port.calls[-1] == "restart"


def test_what_is_not_said_stays(port: FakePort, tmp_path: Path) -> None:
    port.config_dir.mkdir()
    (port.config_dir / "agent.env").write_text(
        "HTTPS_PROXY=http://p\nREMOTE_AGENT_SERVER=https://old\n"
    )
    first = replace(REQUEST, user="builder", profile="open", start=False)
    assert install(port, first).status is None
    assert "start" not in port.calls
    second = install(port, Request("/opt/q"))
    assert (second.user, second.profile) == ("builder", "open")
    text = (port.config_dir / "agent.env").read_text()
    assert text == "HTTPS_PROXY=http://p\nREMOTE_AGENT_SERVER=https://h\n"


def test_jobs_get_users_unless_the_configuration_names_some(port: FakePort, tmp_path: Path) -> None:
    request = Request("/opt/p", profile="users")
    install(port, request)
    assert port.choice is not None and port.choice.user_range == USER_RANGE
    install(port, request, separate=True)
    assert port.choice.user_range is None
    port.config_dir.mkdir(exist_ok=True)
    (port.config_dir / "agent.env").write_text("REMOTE_AGENT_JOBS_RUN_AS=builder\n")
    install(port, request)
    assert port.choice.user_range is None


def test_what_makes_no_sense_is_refused_first(port: FakePort, tmp_path: Path) -> None:
    for wrong, words in (
        (Request("/p", profile="lax"), "'lax' is none of strict, users, open"),
        (Request("/p", user="ghost"), "no user ghost"),
    ):
        with pytest.raises(ConfigError, match=words):
            install(port, wrong)
    assert port.choice is None and list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(port: FakePort, tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file")
    with pytest.raises(AgentError, match=r"etc.*nothing was started"):
        install(port, REQUEST)
    assert "start" not in port.calls


def test_what_the_owner_has_closed_stays_closed(port: FakePort, tmp_path: Path) -> None:
    port.config_dir.mkdir()
    environment, token = port.config_dir / "agent.env", port.config_dir / "token"
    environment.write_bytes(b"HTTPS_PROXY=http://u:p\xe4ss@p\n")
    environment.chmod(0o600)
    token.write_text("rrt_x\n")
    token.chmod(0o644)
    done = install(port, REQUEST)
    assert str(environment) in done.changed and environment.stat().st_mode & 0o777 == 0o600
    assert environment.read_bytes().startswith(
        b"HTTPS_PROXY=http://u:p\xe4ss@p\nREMOTE_AGENT_SERVER="
    )
    assert str(token) in done.changed and token.stat().st_mode & 0o777 == 0o600
    assert install(port, REQUEST).changed == []
