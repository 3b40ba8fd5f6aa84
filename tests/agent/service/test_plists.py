"""The property lists, and the same lists as files for packages."""

from __future__ import annotations

import plistlib
from pathlib import Path, PurePosixPath

import pytest

from remote_agent.service import plists
from remote_agent.service.plists import Places, daemon, login_agent, variables_of
from remote_agent.service.units import Choice

FOLDER = Path(__file__).resolve().parents[3] / "installers" / "macos"
PACKAGED = Choice("/usr/local/bin/remote-agent", user="builder", profile="open")
SYSTEM = Places(
    PurePosixPath("/var/lib/remote-agent"),
    PurePosixPath("/etc/remote-agent"),
    PurePosixPath("/etc/remote-agent/token"),
)
_OWN = PurePosixPath("/Users/builder/Library/Application Support/remote-agent")
OWN = Places(_OWN / "state", _OWN, _OWN / "token")
MAKERS = ((daemon, SYSTEM, "LaunchDaemons"), (login_agent, OWN, "LaunchAgents"))


@pytest.mark.parametrize(("make", "places", "folder"), MAKERS)
def test_the_files_for_packages_are_what_install_writes(make, places, folder) -> None:
    assert (FOLDER / folder / plists.FILE).read_bytes() == make(PACKAGED, places, {})


@pytest.mark.parametrize(("make", "places", "folder"), MAKERS)
def test_what_launchd_is_told(make, places, folder) -> None:
    told = plistlib.loads(make(PACKAGED, places, {"LANG": "de_DE.UTF-8", "PATH": "/p"}))
    assert told["Label"] == "remote-agent"
    assert told["ProgramArguments"] == ["/usr/local/bin/remote-agent", "run"]
    assert told["RunAtLoad"] is True and told["KeepAlive"] == {"SuccessfulExit": False}
    assert told["AbandonProcessGroup"] is True, "jobs outlive the agent's restart"
    assert told["ExitTimeOut"] > 60 and told["Umask"] == 0o077
    environment = told["EnvironmentVariables"]
    assert environment["REMOTE_AGENT_STATE_DIR"] == str(places.state_dir)
    assert environment["CONFIGURATION_DIRECTORY"] == str(places.config_dir)
    assert environment["REMOTE_AGENT_TOKEN_FILE"] == str(places.token)
    assert (environment["LANG"], environment["PATH"]) == ("de_DE.UTF-8", "/p")
    # launchd.plist(5): a daemon has a user, and no session of one.
    if make is daemon:
        assert told["UserName"] == "builder" and "LimitLoadToSessionType" not in told
    else:
        assert told["LimitLoadToSessionType"] == "Aqua" and "UserName" not in told


def test_without_a_token_none_is_named() -> None:
    told = plistlib.loads(daemon(PACKAGED, Places(OWN.state_dir, OWN.config_dir), {}))
    assert "REMOTE_AGENT_TOKEN_FILE" not in told["EnvironmentVariables"]


def test_odd_paths_stay_as_they_are() -> None:
    program = '/opt/<a> & b\'s "c"/remote-agent'
    told = plistlib.loads(daemon(Choice(program), SYSTEM, {}))
    assert told["ProgramArguments"] == [program, "run"]


def test_variables_as_systemd_has_them() -> None:
    text = '# a\n;b\n\nA=1\n B = x=y \nC="two words"\nD=\'q\'\nE="\nnothing\nA=2\n'
    found = variables_of(text.splitlines())
    assert found == {"A": "2", "B": " x=y", "C": "two words", "D": "q", "E": '"'}
