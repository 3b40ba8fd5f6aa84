"""The texts for systemd, and the same texts as files for packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.service import units
from remote_agent.service.units import Choice, agent_unit, jobs_unit, profile_drop_in, quoted

FOLDER = Path(__file__).resolve().parents[3] / "installers" / "systemd"
PACKAGED = Choice("/usr/local/bin/remote-agent")


def settings(text: str) -> list[tuple[str, str]]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    return [(key, value) for key, value in pairs]


def test_the_files_for_packages_are_what_install_writes() -> None:
    assert (FOLDER / units.AGENT).read_text() == agent_unit(PACKAGED)
    assert (FOLDER / units.JOBS).read_text() == jobs_unit(PACKAGED)
    for name in ("users", "open"):
        file = FOLDER / "profiles" / f"{name}.conf"
        ranged = units.USER_RANGE if name == "users" else None
        choice = Choice(PACKAGED.program, profile=name, user_range=ranged)
        assert file.read_text() == profile_drop_in(choice)


def test_program_and_user_are_those_of_the_choice() -> None:
    choice = Choice("/opt/a/bin/remote-agent", user="builder")
    found = settings(agent_unit(choice))
    assert ("ExecStart", "/opt/a/bin/remote-agent run") in found
    assert ("User", "builder") in found and ("User", "builder") in settings(jobs_unit(choice))
    assert "chown builder /sys/fs/cgroup/remote.slice/remote-agent.slice/" in jobs_unit(choice)


def test_jobs_outlive_the_agent_and_the_watchdog_is_on() -> None:
    agent, jobs = dict(settings(agent_unit(PACKAGED))), dict(settings(jobs_unit(PACKAGED)))
    assert (agent["Type"], agent["KillMode"], agent["Restart"]) == ("notify", "process", "always")
    assert agent["StartLimitIntervalSec"] == "0" and agent["WatchdogSec"] == "30s"
    assert agent["Requires"] == units.JOBS and "Delegate" not in agent
    assert (jobs["Delegate"], jobs["KillSignal"]) == ("yes", "SIGKILL")
    assert jobs["Slice"] == agent["Slice"] == units.SLICE


def test_secrets_come_as_credentials() -> None:
    found = settings(agent_unit(PACKAGED))
    assert ("LoadCredential", "token:/etc/remote-agent/token") in found
    assert not any("TOKEN" in value for key, value in found if key == "Environment")


def test_a_profile_is_a_drop_in() -> None:
    assert profile_drop_in(PACKAGED) == ""
    users = profile_drop_in(Choice("/p", profile="users"))
    assert "CAP_SETUID" in users and "USER_RANGE" not in users
    with_range = profile_drop_in(Choice("/p", profile="users", user_range="7-9"))
    assert with_range.endswith("Environment=REMOTE_AGENT_JOBS_USER_RANGE=7-9\n")
    assert ("NoNewPrivileges", "no") in settings(profile_drop_in(Choice("/p", profile="open")))


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/opt/a/remote-agent", "/opt/a/remote-agent"),
        ("/opt/with space/a", '"/opt/with space/a"'),
        ("/opt/50%/$a", "/opt/50%%/$$a"),
        ('/opt/a"b', '"/opt/a\\"b"'),
    ],
)
def test_paths_are_words_of_a_command(path: str, word: str) -> None:
    assert quoted(path) == word


def test_the_binary_unpacks_itself_where_uninstall_looks_for_it() -> None:
    assert f'"{units.PROGRAM_DIR}"' in (FOLDER.parent / "binary" / "build.py").read_text()
