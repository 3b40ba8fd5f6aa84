"""Units in a folder, with a `systemctl` that remembers; the real one is in tests/systemd."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from remote_agent.errors import AgentError
from remote_agent.service import units
from remote_agent.service.systemd import Systemd, complaint
from remote_agent.service.units import Choice
from tests.agent.service.fakes import Systemctl

CHOICE = Choice("/opt/p/remote-agent", user="builder")
SHOWN = "ActiveState=active\nMainPID=12\nNRestarts=3\nStatusText=online,\033 0 jobs\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tmp_path


def folder(root: Path) -> Path:
    return root / "etc/systemd/system"


def test_install_writes_and_a_second_time_changes_nothing(root: Path) -> None:
    calls = Systemctl()
    systemd = Systemd(root, calls)
    changed = systemd.install(CHOICE)
    assert [Path(path).name for path in changed] == [units.AGENT, units.JOBS]
    assert (folder(root) / units.AGENT).read_text() == units.agent_unit(CHOICE)
    assert "daemon-reload" in calls.calls and f"enable --quiet {units.AGENT}" in calls.calls
    again = Systemctl(show="UnitFileState=enabled\n")
    assert Systemd(root, again).install(CHOICE) == []
    assert not [call for call in again.calls if not call.startswith("show")]


def test_a_profile_comes_and_goes(root: Path) -> None:
    systemd = Systemd(root, Systemctl())
    systemd.install(Choice("/opt/p", profile="open"))
    drop_in = folder(root) / f"{units.AGENT}.d" / "profile.conf"
    assert "NoNewPrivileges=no" in drop_in.read_text()
    assert systemd.state().profile == "open"
    assert systemd.install(Choice("/opt/p")) == [str(drop_in)]
    assert systemd.state().profile == "strict" and not drop_in.parent.exists()


def test_the_state_is_that_of_the_unit_and_of_systemd(root: Path) -> None:
    systemd = Systemd(root, Systemctl(show=SHOWN + "UnitFileState=enabled\n"))
    assert not systemd.state().installed
    systemd.install(CHOICE)
    state = systemd.state()
    assert (state.active, state.enabled, state.pid, state.restarts) == ("active", True, 12, 3)
    assert (state.user, state.program) == ("builder", "/opt/p/remote-agent")
    assert state.words == "online,\\x1b 0 jobs"


def test_another_version_of_a_binary_is_told_by_its_directory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd = Systemd(root, Systemctl(show=SHOWN))
    systemd.install(CHOICE)
    process = root / "proc/12"
    process.mkdir(parents=True)
    (process / "exe").symlink_to("/var/lib/remote-agent/program/0.1.0-abc/remote-agent")
    assert not systemd.state().outdated, "only a binary knows"
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    for version, outdated in (("0.1.0-abc", False), ("0.1.0-abd", True)):
        own = f"/var/lib/remote-agent-program/{version}/remote-agent"
        monkeypatch.setattr(sys, "executable", own)
        assert systemd.state().outdated == outdated
    (process / "exe").unlink()
    assert not systemd.state().outdated, "it has just ended"


def test_a_damaged_unit_is_written_anew(root: Path) -> None:
    systemd = Systemd(root, Systemctl())
    systemd.install(CHOICE)
    (folder(root) / units.AGENT).write_bytes(b"\xff\x00")
    assert systemd.state().installed
    assert systemd.install(CHOICE) == [str(folder(root) / units.AGENT)]


def test_what_a_package_has_brought_is_used_and_left(root: Path) -> None:
    packaged = root / "usr/lib/systemd/system"
    packaged.mkdir(parents=True)
    as_it_is = Choice("/usr/bin/remote-agent")
    (packaged / units.AGENT).write_text(units.agent_unit(as_it_is))
    (packaged / units.JOBS).write_text(units.jobs_unit(as_it_is))
    systemd = Systemd(root, Systemctl())
    state = systemd.state()
    assert state.installed and (state.user, state.profile) == ("remote-agent", "strict")
    assert systemd.install(as_it_is) == [] and not list(folder(root).glob("*.service"))
    other = Choice("/usr/bin/remote-agent", user="builder")
    changed = [str(folder(root) / name) for name in (units.AGENT, units.JOBS)]
    assert systemd.install(other) == changed and systemd.state().user == "builder"
    assert systemd.install(as_it_is) == changed and systemd.state().user == "remote-agent"
    systemd.install(other)
    assert systemd.remove() == changed and systemd.state().user == "remote-agent"
    assert len(list(packaged.iterdir())) == 2


def test_remove_says_what_there_was_and_leaves_drop_ins_of_others(root: Path) -> None:
    systemd = Systemd(root, Systemctl())
    systemd.install(Choice("/opt/p", profile="open"))
    own = folder(root) / f"{units.AGENT}.d" / "mine.conf"
    own.write_text("[Service]\n")
    removed = [Path(path).name for path in systemd.remove()]
    assert removed == ["profile.conf", units.AGENT, units.JOBS]
    assert own.exists() and systemd.remove() == []


def test_remove_goes_on_when_systemctl_refuses(root: Path) -> None:
    calls = Systemctl()
    systemd = Systemd(root, calls)
    systemd.install(CHOICE)
    calls.failing = {"disable", "stop", "kill", "reset-failed"}
    assert len(systemd.remove()) == 2
    # The files of a disk whose systemd does not run.
    systemd.install(CHOICE)
    (root / "run/systemd/system").rmdir()
    before = len(calls.calls)
    assert len(systemd.remove()) == 2 and len(calls.calls) == before


def test_what_systemctl_says_is_the_cause(root: Path) -> None:
    calls = Systemctl()
    calls.failing = {"start"}
    with pytest.raises(AgentError, match=r"systemctl start .* start was refused"):
        Systemd(root, calls).start()


def test_verbs(root: Path) -> None:
    calls = Systemctl()
    systemd = Systemd(root, calls)
    systemd.start()
    systemd.restart()
    systemd.stop(jobs_too=False)
    assert calls.calls == [
        f"start --no-block {units.AGENT}",
        f"restart --no-block {units.AGENT}",
        f"stop {units.AGENT}",
    ]
    systemd.stop(jobs_too=True)
    assert calls.calls[3:] == [
        f"stop {units.AGENT}",
        f"stop {units.JOBS}",
        f"kill --signal=SIGKILL {units.SLICE}",
    ]


def test_who_can_do_it(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AgentError, match="systemd does not run this host"):
        Systemd(tmp_path / "absent").check()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(AgentError, match="only root"):
        Systemd(root).check()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    Systemd(root).check()


def test_complaints_are_errors_once_and_in_order(root: Path) -> None:
    journal = "\n".join(
        [
            '{"level": "info", "event": "online"}',
            '{"level": "error", "event": "the agent exits", "reason": "no space"}',
            '{"level": "error", "event": "the agent exits", "reason": "no space"}',
            '{"level": "warning", "event": "taking no jobs", "reason": "the agent is stopping"}',
            "{ no json",
            "remote-agent: the configuration: no",
            "remote-agent.service: Failed at step EXEC spawning /opt/p: Permission denied",
            "Stopped remote-agent.service - …",
        ]
    )
    assert Systemd(root, Systemctl(journalctl=journal)).complaints() == [
        "the agent exits: no space",
        "the configuration: no",
        "remote-agent.service: Failed at step EXEC spawning /opt/p: Permission denied",
    ]
    assert complaint("remote-agent.service: Failed with result 'exit-code'.") == ""
