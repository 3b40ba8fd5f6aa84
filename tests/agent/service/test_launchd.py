"""Property lists in a folder, with a `launchctl` that remembers. No Mac is at hand: what it prints
is as launchctl(1) of macOS 14 prints it."""

from __future__ import annotations

import os
import plistlib
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote_agent.errors import AgentError, ConfigError
from remote_agent.local.control import NotRunning
from remote_agent.processes import Account, account
from remote_agent.service import launchd, plists
from remote_agent.service.calling import Done
from remote_agent.service.installing import Request, install
from remote_agent.service.launchd import Launchd, Place, daemon_place, login_place
from remote_agent.service.online import wait_until_online
from remote_agent.service.uninstalling import uninstall
from remote_agent.service.units import Choice

ME = pwd.getpwuid(os.geteuid()).pw_name
CHOICE = Choice("/opt/p/remote-agent", user=ME, profile="open")
PRINTED = """\
{target} = {{
\tactive count = 1
\tpath = {path}
\tstate = {state}

\tprogram = /opt/p/remote-agent
\tendpoints = {{
\t\t"x" = {{
\t\t\tstate = active
\t\t}}
\t}}
\truns = {runs}
{pid}\tlast exit code = {code}
}}
"""


class Launchctl:
    """Answers as launchd does; `calls` are the words after the program."""

    def __init__(self) -> None:
        self.loaded = False
        self.state = "running"
        self.code = "(never exited)"
        self.runs = 1
        self.disabled = False
        self.session = True
        self.lingers = 0
        self.refuses = ""
        self.logs: dict[str, str] = {}
        """What each log holds, by the name of its file."""
        self.calls: list[str] = []
        self.others: list[tuple[str, Account | None]] = []

    def __call__(self, command: Sequence[str], timeout: float, who: Account | None = None) -> Done:
        program, *words = command
        if program != "/bin/launchctl":
            self.others.append((" ".join(command), who))
            return Done(command, 0, self.logs.get(Path(words[-1]).name, ""), "")
        self.calls.append(" ".join(words))
        code, out = self._answer(*words)
        said = self.refuses if words[0] == "bootstrap" else ""
        return Done(command, 5 if said else code, out, said)

    def _answer(self, verb: str, target: str, path: str = "") -> tuple[int, str]:
        if verb == "print-disabled":
            word = "disabled" if self.disabled else "enabled"
            return 0, f'\tdisabled services = {{\n\t\t"remote-agent" => {word}\n\t}}\n'
        if verb == "print" and "remote-agent" not in target:
            return (0, "") if self.session else (125, "")
        if verb == "print":
            if not self.loaded and self.lingers:
                self.lingers -= 1
            elif not self.loaded:
                return 113, ""
            pid = "\tpid = 12\n" if self.state == "running" else ""
            return 0, PRINTED.format(
                target=target, path="p", state=self.state, runs=self.runs, pid=pid, code=self.code
            )
        if verb == "bootstrap":
            assert not self.loaded and not self.lingers, "it would fail: 5, Input/output error"
            assert Path(path).exists()
        self.loaded = {"bootout": False, "bootstrap": True}.get(verb, self.loaded)
        self.disabled = self.disabled and verb != "enable"
        return 0, ""

    @property
    def changes(self) -> list[str]:
        """What was asked for besides looks."""
        return [call for call in self.calls if not call.startswith("print")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("SUDO_USER", ME)
    monkeypatch.setattr(launchd, "_LOOK", 0.0)
    return daemon_place(tmp_path)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(launchd, "_LOOK", 0.0)
    monkeypatch.setattr(launchd, "default_state_dir", lambda: tmp_path / "support/state")
    monkeypatch.setattr(launchd, "default_file", lambda: tmp_path / "support/agent.toml")
    return login_place(account(ME)._replace(home=str(tmp_path), uid=501))


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent on the control socket says; nothing for none."""
    said: dict[str, Any] = {}

    def ask(state_dir: Path, request: dict[str, Any]) -> dict[str, Any]:
        if not said:
            raise NotRunning("none")
        return said

    monkeypatch.setattr(launchd, "ask", ask)
    return said


def read(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = plistlib.loads((place.folder / plists.FILE).read_bytes())
    return found


def test_where_a_daemon_and_an_agent_are(place: Place, own: Place, tmp_path: Path) -> None:
    assert (place.domain, place.daemon, place.account) == ("system", True, ME)
    assert place.folder == tmp_path / "Library/LaunchDaemons"
    assert place.state_dir == tmp_path / "var/lib/remote-agent"
    assert (own.domain, own.daemon, own.account) == ("gui/501", False, ME)
    assert own.folder == tmp_path / "Library/LaunchAgents"
    assert own.state_dir.parent == own.config_dir == tmp_path / "support"


def test_install_writes_and_a_second_time_changes_nothing(place: Place) -> None:
    calls = Launchctl()
    mac = Launchd(place, calls)
    assert not mac.state().installed
    file = place.folder / plists.FILE
    assert mac.install(CHOICE) == [str(file)] and mac.install(CHOICE) == []
    assert calls.changes == [] and file.stat().st_mode & 0o777 == 0o644
    written = read(place)
    assert (written["UserName"], written["ProgramArguments"][0]) == (ME, CHOICE.program)
    state = mac.state()
    assert (state.installed, state.active, state.enabled) == (True, "inactive", True)
    assert (state.user, state.program, state.profile) == (ME, CHOICE.program, "open")


def test_server_token_and_variables_are_in_the_list(place: Place) -> None:
    place.config_dir.mkdir(parents=True)
    (place.config_dir / "token").write_text("rrt_secret\n")
    (place.config_dir / "agent.env").write_text("HTTPS_PROXY=http://u:p@h\nX=1\n")
    mac = Launchd(place, Launchctl())
    mac.install(CHOICE)
    environment = read(place)["EnvironmentVariables"]
    assert environment["HTTPS_PROXY"] == "http://u:p@h"
    assert environment["REMOTE_AGENT_TOKEN_FILE"] == str(place.config_dir / "token")
    assert b"rrt_secret" not in (place.folder / plists.FILE).read_bytes()
    assert (place.folder / plists.FILE).stat().st_mode & 0o777 == 0o600, "a password is in it"
    (place.config_dir / "agent.env").write_bytes(b"A=\xff\n")
    with pytest.raises(AgentError, match="no text in UTF-8"):
        mac.install(CHOICE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_token_becomes_the_accounts(place: Place) -> None:
    place.config_dir.mkdir(parents=True)
    token = place.config_dir / "token"
    token.write_text("rrt_x\n")
    Launchd(place, Launchctl()).install(replace(CHOICE, user="nobody"))
    assert token.stat().st_uid == account("nobody").uid


def test_start_restart_and_stop(place: Place, status: dict[str, Any]) -> None:
    calls = Launchctl()
    mac = Launchd(place, calls)
    mac.install(CHOICE)
    file = place.folder / plists.FILE
    up, down = f"bootstrap system {file}", "bootout system/remote-agent"
    mac.start()
    assert calls.changes == [up]
    state = mac.state()
    assert (state.active, state.pid, state.restarts, state.words) == ("active", 12, 0, "")
    mac.start()
    assert calls.changes == [up], "it runs"
    calls.lingers = 3  # bootout returns before it has ended
    mac.restart()
    assert calls.changes == [up, down, up]
    mac.stop(jobs_too=False)
    assert calls.changes == [up, down, up, down] and mac.state().active == "inactive"
    mac.stop(jobs_too=False)
    assert calls.changes[4:] == [] and calls.others == []
    # It has exited by itself: only a new start reads what was written meanwhile.
    calls.loaded, calls.state, calls.code = True, "not running", "0"
    mac.start()
    assert calls.changes[4:] == [down, up]


def test_what_launchd_says_is_the_state(place: Place) -> None:
    calls = Launchctl()
    mac = Launchd(place, calls)
    mac.install(CHOICE)
    calls.loaded, calls.state, calls.code, calls.runs = True, "spawn scheduled", "2", 5
    state = mac.state()
    assert (state.active, state.restarts, state.pid) == ("activating", 4, 0)
    assert state.words == "last exit code: 2"
    calls.disabled = True
    assert not mac.state().enabled
    mac.install(CHOICE)
    assert calls.changes == ["enable system/remote-agent"] and mac.state().enabled


def test_a_damaged_list_is_written_anew(place: Place) -> None:
    mac = Launchd(place, Launchctl())
    mac.install(CHOICE)
    for damage in (b"", b"\xff\x00", b"<plist", b"bplist00garbage", b"<plist><array/></plist>"):
        (place.folder / plists.FILE).write_bytes(damage)
        assert mac.state().installed and mac.state().program == ""
        assert mac.install(CHOICE) and mac.state().program == CHOICE.program


def test_jobs_are_killed_as_the_account(
    place: Place, status: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Launchctl()
    mac = Launchd(place, calls)
    mac.install(replace(CHOICE, user="nobody"))
    mac.start()
    status["attempts"] = [{"pid": 77}, {"pid": None}, {"pid": 1}, {"pid": "8"}, {}, 9, {"pid": -5}]
    mac.stop(jobs_too=True)
    ((command, who),) = calls.others
    assert command == "/bin/kill -KILL -- -77" and who is not None and who.name == "nobody"
    assert calls.changes[-1] == "bootout system/remote-agent"


def test_remove_says_what_there_was(place: Place, status: dict[str, Any]) -> None:
    calls = Launchctl()
    mac = Launchd(place, calls)
    mac.install(CHOICE)
    mac.start()
    file = place.folder / plists.FILE
    assert mac.remove() == [str(file)] and not file.exists() and not calls.loaded
    assert mac.remove() == [] and not mac.state().installed
    # Half of one: loaded, and its list is gone.
    calls.loaded = True
    assert mac.remove() == [] and not calls.loaded


def test_complaints_are_those_of_the_agents_own_log(place: Place) -> None:
    calls = Launchctl()
    calls.logs["agent.log"] = (
        '{"level": "info", "event": "online"}\n'
        '{"level": "warning", "event": "link closed", "reason": "no \\u001b[2J route"}\n' * 2
    )
    calls.logs["service.log"] = "2026-11-27T08:00:00Z the token was \033[2J revoked\n" * 2
    mac = Launchd(place, calls)
    mac.install(CHOICE)
    mac.start()
    assert mac.complaints() == ["link closed: no \\x1b[2J route"]
    assert calls.others[0][0] == f"/usr/bin/tail -n 30 {place.state_dir}/logs/agent.log"
    # It has ended: what it printed says why.
    calls.state, calls.code = "not running", "0"
    assert mac.complaints()[-1] == "the token was \\x1b[2J revoked"


def test_an_agent_that_was_refused_is_not_waited_for(place: Place) -> None:
    """launchd does not start it again: it has ended with 0."""
    calls = Launchctl()
    calls.logs["service.log"] = "2026-11-27T08:00:00Z the server refuses the token\n"
    mac = Launchd(place, calls)
    mac.install(CHOICE)
    assert not mac.state().ended, "it never ran"
    mac.start()
    assert not mac.state().ended
    calls.state = "not running"
    assert not mac.state().ended, "it is about to start"
    calls.code = "0"
    with pytest.raises(AgentError, match="not started again: the server refuses the token"):
        wait_until_online(mac)
    calls.state, calls.code = "spawn scheduled", "1"
    assert not mac.state().ended, "it will be started again"


def test_failures_of_launchctl_are_named(place: Place) -> None:
    calls = Launchctl()
    mac = Launchd(place, calls)
    mac.install(CHOICE)
    calls.refuses = "Bootstrap failed: 5: Input/output error"
    with pytest.raises(AgentError, match=r"launchctl bootstrap system .*Input/output error"):
        mac.start()

    def missing(*given: object) -> Done:
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(AgentError, match="launchctl cannot be called: No such file"):
        Launchd(place, missing).start()

    def hangs(*given: object) -> Done:
        raise subprocess.TimeoutExpired("launchctl", 1.0)

    with pytest.raises(AgentError, match=r"launchctl print system/remote-agent did not end"):
        Launchd(place, hangs).start()


def test_who_it_may_run_as(place: Place, own: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=f"runs as its user, {ME}: leave --user out"):
        Launchd(own, Launchctl()).install(replace(CHOICE, user="nobody"))
    monkeypatch.delenv("SUDO_USER")
    with pytest.raises(ConfigError, match="say whose account the service gets: --user U"):
        install(Launchd(daemon_place(place.state_dir), Launchctl()), Request("/opt/p"))


def test_without_a_session_there_is_no_agent_but_a_daemon(place: Place, own: Place) -> None:
    calls = Launchctl()
    calls.session = False
    with pytest.raises(AgentError, match=r"no session at the screen.*sudo remote-agent"):
        Launchd(own, calls).check()
    Launchd(place, calls).check()
    calls.session = True
    Launchd(own, calls).check()


def test_a_whole_life_of_an_agent_of_a_session(
    own: Place, status: dict[str, Any], tmp_path: Path
) -> None:
    """From the verbs down, but for the program: it is started by launchd."""
    program = tmp_path / "remote-agent"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    calls = Launchctl()
    mac = Launchd(own, calls)
    request = Request(str(program), server="https://h", token="rrt_x", start=False)
    done = install(mac, request)
    assert (done.user, done.profile) == (ME, "open")
    assert read(own)["EnvironmentVariables"]["REMOTE_AGENT_SERVER"] == "https://h"
    assert install(mac, request).changed == []
    with pytest.raises(ConfigError, match="'strict' is none of open"):
        install(mac, replace(request, profile="strict"))
    mac.start()
    (own.config_dir / "agent.toml").write_text("")
    lines = uninstall(mac, lambda folder: "n has left https://h").lines()
    assert f"kept     {own.config_dir}/agent.toml" in lines
    assert f"removed  {own.folder / plists.FILE}" in lines
    for path in (own.state_dir, own.config_dir / "token"):
        assert f"removed  {path}" in lines and not path.exists()
    assert not calls.loaded
    again = uninstall(mac, lambda folder: None).lines()
    assert again == [f"kept     {own.config_dir}/agent.toml"]
