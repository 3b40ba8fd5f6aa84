"""The service of macOS: a daemon for root, an agent of the session for other users.

Writes one property list, calls launchctl; what belongs to the account is done as the account.
"""

from __future__ import annotations

import os
import plistlib
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

from remote_agent.config import default_file, default_state_dir
from remote_agent.errors import AgentError, ConfigError, os_words
from remote_agent.local.control import ask
from remote_agent.processes import Account, account
from remote_agent.service import account as accounts
from remote_agent.service import plists, units
from remote_agent.service.calling import Done, call, one_line
from remote_agent.service.files import put
from remote_agent.service.own_log import COMPLAINTS, complaint, printed
from remote_agent.service.port import ServiceState
from remote_agent.service.units import Choice

TOKEN_FILE: Final = "token"
ENVIRONMENT: Final = "agent.env"
_TIMEOUT: Final = 120.0
"""Seconds: longer than an agent may take to exit."""
_LOOK: Final = 0.2
_LINES: Final = 30
_KNOWN: Final = re.compile(r"^\t(state|pid|runs|last exit code) = (.+)$", re.MULTILINE)
"""What is at the first level of `launchctl print`: below it other things have a state, too."""
_STARTING: Final = ("spawn scheduled", "spawning", "waiting")
Run = Callable[..., Done]


@dataclass(frozen=True, slots=True)
class Place:
    """Where launchd keeps the service."""

    domain: str
    """`system`, or `gui/UID` for the session of a user."""
    folder: Path
    """Of the property list."""
    account: str
    state_dir: Path
    config_dir: Path

    @property
    def daemon(self) -> bool:
        """Whether it starts with the host."""
        return self.domain == "system"


def daemon_place(root: Path = Path("/")) -> Place:
    """For root: the account is that of whoever has called sudo, unless another one is named."""
    return Place(
        domain="system",
        folder=root / "Library/LaunchDaemons",
        account=os.environ.get("SUDO_USER", ""),
        state_dir=root / units.STATE_DIR.lstrip("/"),
        config_dir=root / units.CONFIG_DIR.lstrip("/"),
    )


def login_place(me: Account) -> Place:
    """For any other user."""
    return Place(
        domain=f"gui/{me.uid}",
        folder=Path(me.home) / "Library/LaunchAgents",
        account=me.name,
        state_dir=default_state_dir(),
        config_dir=default_file().parent,
    )


class Launchd:
    """launchd of this host."""

    profiles: tuple[str, ...] = ("open",)

    def __init__(self, place: Place, run: Run = call) -> None:
        self._place = place
        self._run = run
        self.account = place.account
        self.state_dir = place.state_dir
        self.config_dir = place.config_dir
        self.program_dir = place.state_dir / "program"
        self._file = place.folder / plists.FILE
        self._target = f"{place.domain}/{plists.LABEL}"

    def check(self) -> None:
        """AgentError for users who are not logged in at the screen: they have no session."""
        if not self._place.daemon and self._launchctl("print", self._place.domain).returncode:
            raise AgentError(
                f"{self.account} has no session at the screen, in which launchd could start an "
                "agent: log in there, or install a daemon, which needs none: sudo remote-agent …"
            )

    def make_account(self) -> None:
        """Accounts of macOS are made by people. ConfigError."""
        raise ConfigError(
            "say whose account the service gets: --user U, a user of this Mac (not root)"
        )

    def state(self) -> ServiceState:
        """What there is now."""
        if not os.path.lexists(self._file):
            return ServiceState(installed=False)
        written = self._written()
        program = written.get("ProgramArguments")
        known = self._known()
        state, code = known.get("state", ""), known.get("last exit code", "")
        active = "active" if state == "running" else "inactive"
        if state in _STARTING:
            active = "activating"
        return ServiceState(
            installed=True,
            active=active,
            enabled=not self._disabled(),
            pid=int(known.get("pid", 0)),
            restarts=max(0, int(known.get("runs", 1)) - 1),
            words="" if active == "active" or not code else one_line(f"last exit code: {code}"),
            ended=state == "not running" and code == "0",
            user=str(written.get("UserName") or self.account),
            program=str(program[0]) if isinstance(program, list) and program else "",
            profile=self.profiles[0],
        )

    def prepare(self, program: str, user: str, profile: str) -> list[str]:
        """Have the account and its state directory; what was made."""
        return accounts.prepare(self, program, user, profile)

    def install(self, choice: Choice) -> list[str]:
        """Write the property list; launchd reads it at the next start, of the service or of the
        host. The variables of `agent.env` are in it."""
        token, environment = self.config_dir / TOKEN_FILE, self.config_dir / ENVIRONMENT
        if not self._place.daemon and choice.user != self.account:
            raise ConfigError(
                f"the agent of a session runs as its user, {self.account}: leave --user out, or "
                "install a daemon: sudo remote-agent …"
            )
        try:
            if self._place.daemon and os.path.lexists(token):
                accounts.give(token, choice.user)
            lines = environment.read_text("utf-8").splitlines() if environment.exists() else []
            places = plists.Places(
                self.state_dir, self.config_dir, token if os.path.lexists(token) else None
            )
            make = plists.daemon if self._place.daemon else plists.login_agent
            content = make(choice, places, plists.variables_of(lines))
            changed = put(self._file, content, 0o600 if lines else 0o644)
        except OSError as error:
            raise AgentError(f"{os_words(error, self._file)}; nothing was started") from None
        except UnicodeDecodeError:
            raise AgentError(f"{environment} is no text in UTF-8; nothing was started") from None
        if self._disabled():
            self._must("enable", self._target)
        return [str(self._file)] if changed else []

    def start(self) -> None:
        """Start it, by what is written now."""
        if self._known().get("state") != "running":
            self.restart()

    def restart(self) -> None:
        """Stop it and start it; jobs run on."""
        self._unload()
        self._must("bootstrap", self._place.domain, str(self._file))

    def stop(self, jobs_too: bool) -> None:
        """Stop it until the next start of the host or session; `jobs_too` kills its jobs."""
        jobs = self._jobs() if jobs_too else []
        self._unload()
        self._kill(jobs)

    def remove(self) -> list[str]:
        """Stop it with its jobs, remove its property list; what was there."""
        jobs = self._jobs()
        self._unload()
        self._kill(jobs)
        if not os.path.lexists(self._file):
            return []
        try:
            self._file.unlink()
        except OSError as error:
            raise AgentError(f"{os_words(error, self._file)}; remove it, then repeat") from None
        return [str(self._file)]

    def complaints(self) -> list[str]:
        """The latest errors and warnings of the agent's own log; of what its process has printed,
        when it does not run: that says why."""
        found = (one_line(complaint(line)) for line in self._tail("agent.log"))
        logged = list(dict.fromkeys(text for text in found if text))
        ended = [] if self.state().active == "active" else printed(self._tail(COMPLAINTS))
        return [*logged, *ended]

    def _tail(self, name: str) -> list[str]:
        """The last lines of a log, read as the account."""
        log = self.state_dir / "logs" / name
        with suppress(OSError, subprocess.TimeoutExpired):
            done = self._run(["/usr/bin/tail", "-n", str(_LINES), str(log)], _TIMEOUT, self._who())
            return done.stdout.splitlines()
        return []

    # The jobs --------------------------------------------------------------------------------

    def _jobs(self) -> list[int]:
        """Process groups of running jobs, as the agent says; none when it does not run."""
        try:
            attempts = ask(self.state_dir, {"do": "status"}).get("attempts")
        except AgentError:
            return []
        found = [attempt.get("pid") for attempt in attempts or [] if isinstance(attempt, dict)]
        return [pid for pid in found if isinstance(pid, int) and pid > 1]

    def _kill(self, groups: list[int]) -> None:
        """As the account: a job may speak in the agent's name, and name processes of others."""
        for group in groups:
            with suppress(OSError, subprocess.TimeoutExpired):
                self._run(["/bin/kill", "-KILL", "--", f"-{group}"], _TIMEOUT, self._who())

    def _who(self) -> Account | None:
        """The account of the service; None when this process is it."""
        name = str(self._written().get("UserName") or self.account)
        with suppress(KeyError):
            who = account(name)
            return None if who.uid == accounts.own_uid() else who
        raise AgentError(f"there is no user {name} on this host any more")

    # launchctl -------------------------------------------------------------------------------

    def _known(self) -> dict[str, str]:
        done = self._launchctl("print", self._target)
        return {} if done.returncode else dict(_KNOWN.findall(done.stdout))

    def _disabled(self) -> bool:
        said = self._launchctl("print-disabled", self._place.domain).stdout
        return re.search(f'"{plists.LABEL}" => (true|disabled)', said) is not None

    def _unload(self) -> None:
        """Stop it and have launchd forget it: it reads a property list once. AgentError."""
        if self._launchctl("print", self._target).returncode:
            return
        self._launchctl("bootout", self._target)
        ends = time.monotonic() + _TIMEOUT
        while not self._launchctl("print", self._target).returncode:
            if time.monotonic() > ends:
                raise AgentError(f"launchctl bootout {self._target}: it does not end")
            time.sleep(_LOOK)

    def _must(self, *words: str) -> None:
        done = self._launchctl(*words)
        if done.returncode:
            why = one_line(done.stderr or done.stdout) or f"it ended with {done.returncode}"
            raise AgentError(f"launchctl {' '.join(words)}: {why}")

    def _launchctl(self, *words: str) -> Done:
        try:
            return self._run(["/bin/launchctl", *words], _TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AgentError(f"launchctl {' '.join(words)} did not end") from None
        except OSError as error:
            raise AgentError(f"launchctl cannot be called: {error.strerror}") from None

    def _written(self) -> dict[str, Any]:
        """The property list; empty for a damaged one, which is written anew."""
        try:
            found = plistlib.loads(self._file.read_bytes())
        except (OSError, ValueError, ExpatError):
            return {}
        return found if isinstance(found, dict) else {}
