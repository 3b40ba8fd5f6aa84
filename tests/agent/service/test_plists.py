"""The property lists, and the same lists as files for packages."""

from __future__ import annotations

import plistlib
from pathlib import Path, PurePosixPath
from typing import Any

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
KNOWN: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(
        ("Label", "UserName", "GroupName", "Program", "WorkingDirectory", "RootDirectory"), str
    ),
    **dict.fromkeys(("StandardInPath", "StandardOutPath", "StandardErrorPath"), str),
    **dict.fromkeys(("ProcessType", "BundleProgram"), str),
    **dict.fromkeys(("LimitLoadToSessionType", "AssociatedBundleIdentifiers"), (str, list)),
    **dict.fromkeys(("ProgramArguments", "WatchPaths", "QueueDirectories"), list),
    **dict.fromkeys(("EnvironmentVariables", "SoftResourceLimits", "HardResourceLimits"), dict),
    **dict.fromkeys(("Sockets", "MachServices", "LaunchEvents", "inetdCompatibility"), dict),
    **dict.fromkeys(("LimitLoadToHardware", "LimitLoadFromHardware"), dict),
    **dict.fromkeys(
        ("Disabled", "EnableGlobbing", "EnableTransactions", "EnablePressuredExit"), bool
    ),
    **dict.fromkeys(("RunAtLoad", "InitGroups", "StartOnMount", "Debug", "WaitForDebugger"), bool),
    **dict.fromkeys(("AbandonProcessGroup", "LowPriorityIO", "LowPriorityBackgroundIO"), bool),
    **dict.fromkeys(
        ("LaunchOnlyOnce", "SessionCreate", "LegacyTimers", "MaterializeDatalessFiles"), bool
    ),
    **dict.fromkeys(("StartInterval", "ThrottleInterval", "TimeOut", "ExitTimeOut", "Nice"), int),
    "Umask": (int, str),
    "KeepAlive": (bool, dict),
    "StartCalendarInterval": (dict, list),
}
"""The keys of launchd.plist(5) of macOS 14, with their types: launchd takes no notice of others."""
CONDITIONS = {
    **dict.fromkeys(("SuccessfulExit", "Crashed", "NetworkState"), bool),
    **dict.fromkeys(("PathState", "OtherJobEnabled"), dict),
}
"""Those of KeepAlive."""
SESSIONS = {"Aqua", "Background", "LoginWindow", "StandardIO", "System"}
MAKERS = ((daemon, SYSTEM, "LaunchDaemons"), (login_agent, OWN, "LaunchAgents"))


@pytest.mark.parametrize(("make", "places", "folder"), MAKERS)
def test_the_files_for_packages_are_what_install_writes(make, places, folder) -> None:
    assert (FOLDER / folder / plists.FILE).read_bytes() == make(PACKAGED, places, {})


@pytest.mark.parametrize(("make", "places", "folder"), MAKERS)
def test_what_launchd_is_told(make, places, folder) -> None:
    told = plistlib.loads(make(PACKAGED, places, {"LANG": "de_DE.UTF-8", "PATH": "/p"}))
    assert told["Label"] == "remote-agent"
    assert told["ProgramArguments"] == ["/usr/local/bin/remote-agent", "_launchd"]
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


@pytest.mark.parametrize(("make", "places", "folder"), MAKERS)
def test_launchd_knows_every_key_and_its_type(make, places, folder) -> None:
    written = (FOLDER / folder / plists.FILE).read_bytes()
    assert written.startswith(b"<?xml"), "launchctl and people read it"
    told = plistlib.loads(written)
    assert faults(told) == []
    # Of a daemon and of an agent, what launchd.plist(5) says of one alone.
    only = {"UserName", "GroupName", "SessionCreate"}
    daemon_only, agent_only = told.keys() & only, told.keys() & {"LimitLoadToSessionType"}
    assert bool(daemon_only) is (make is daemon) and bool(agent_only) is (make is login_agent)


def test_what_launchd_does_not_know_is_found() -> None:
    good = plistlib.loads(daemon(PACKAGED, SYSTEM, {}))
    for wrong in (
        {"RunAtload": True},
        {"ThrottleInterval": "10"},
        {"ExitTimeOut": True},
        {"KeepAlive": {"SuccesfulExit": False}},
        {"KeepAlive": {"Crashed": 1}},
        {"EnvironmentVariables": {"A": 1}},
        {"ProgramArguments": ["remote-agent"]},
        {"StandardOutPath": "log"},
        {"LimitLoadToSessionType": "aqua"},
    ):
        assert len(faults({**good, **wrong})) == 1, wrong
    assert faults({}) == ["Label is missing", "ProgramArguments is missing"]


def faults(told: dict[str, Any]) -> list[str]:
    """What launchd would not understand of a property list."""
    found = [f"{name} is missing" for name in ("Label", "ProgramArguments") if name not in told]
    for name, value in told.items():
        if not _fits(value, KNOWN.get(name, ())):
            found.append(f"{name}: {value!r} is unknown, or of another type")
        if name.endswith(("Path", "Directory")) and not PurePosixPath(value).is_absolute():
            found.append(f"{name}: {value} is not absolute")
    for name, value in told.get("EnvironmentVariables", {}).items():
        if not isinstance(value, str):
            found.append(f"{name}: {value!r} is no text")
    keep = told.get("KeepAlive", False)
    for name, value in keep.items() if isinstance(keep, dict) else ():
        if not _fits(value, CONDITIONS.get(name, ())):
            found.append(f"KeepAlive: {name}: {value!r} is unknown, or of another type")
    words = told.get("ProgramArguments", ["/"])
    if not PurePosixPath(words[0]).is_absolute():
        found.append(f"{words[0]} is not absolute: launchd looks for it in a PATH of its own")
    if told.get("LimitLoadToSessionType", "Aqua") not in SESSIONS:
        found.append("there is no such type of session")
    return found


def _fits(value: object, kinds: type | tuple[type, ...]) -> bool:
    """A truth value is no number, other than for Python."""
    return isinstance(value, kinds) and (
        kinds is bool or not isinstance(value, bool) or kinds == (bool, dict)
    )


def test_without_a_token_none_is_named() -> None:
    told = plistlib.loads(daemon(PACKAGED, Places(OWN.state_dir, OWN.config_dir), {}))
    assert "REMOTE_AGENT_TOKEN_FILE" not in told["EnvironmentVariables"]


def test_odd_paths_stay_as_they_are() -> None:
    program = '/opt/<a> & b\'s "c"/remote-agent'
    told = plistlib.loads(daemon(Choice(program), SYSTEM, {}))
    assert told["ProgramArguments"] == [program, "_launchd"]


def test_variables_as_systemd_has_them() -> None:
    text = '# a\n;b\n\nA=1\n B = x=y \nC="two words"\nD=\'q\'\nE="\nnothing\nA=2\n'
    found = variables_of(text.splitlines())
    assert found == {"A": "2", "B": " x=y", "C": "two words", "D": "q", "E": '"'}
