"""The service of hosts that systemd runs. Writes units, calls systemctl and journalctl."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from remote_agent.errors import AgentError, os_words
from remote_agent.service import account, own_log, units
from remote_agent.service.calling import Done, call, one_line
from remote_agent.service.files import put
from remote_agent.service.port import ServiceState
from remote_agent.service.units import Choice

_BOOTED: Final = Path("run/systemd/system")
"""Exists where systemd is the init (sd_booted(3))."""
_UNITS: Final = Path("etc/systemd/system")
_PACKAGED: Final = Path("usr/lib/systemd/system")
"""Units of packages: those of the other folder win (systemd.unit(5))."""
_PROFILE: Final = "profile.conf"
_PROPERTIES: Final = "ActiveState,MainPID,NRestarts,StatusText,UnitFileState"
_TIMEOUT: Final = 150.0
"""Seconds: longer than the time-outs of the unit."""
_LINES: Final = 30
_AT_STEP: Final = f"{units.AGENT}: Failed at step "
_CREDENTIALS: Final = f"{units.AGENT}: Failed to set up credentials"
Run = Callable[[Sequence[str], float], Done]


class Systemd:
    """systemd of this host. `root` is where its file system begins."""

    account = units.ACCOUNT
    profiles: tuple[str, ...] = tuple(units.PROFILES)

    def __init__(self, root: Path = Path("/"), run: Run = call) -> None:
        self._root = root
        self._run = run
        self.state_dir = root / units.STATE_DIR.lstrip("/")
        self.config_dir = root / units.CONFIG_DIR.lstrip("/")
        self.program_dir = root / units.PROGRAM_DIR.lstrip("/")
        self._folder = root / _UNITS
        self._packaged = root / _PACKAGED
        self._drop_in = self._folder / f"{units.AGENT}.d" / _PROFILE

    @property
    def _booted(self) -> bool:
        return (self._root / _BOOTED).exists()

    def check(self) -> None:
        """AgentError without systemd, and for users other than root."""
        if not self._booted:
            raise AgentError(
                "systemd does not run this host: have what runs it start `remote-agent run`"
            )
        if not hasattr(os, "geteuid") or os.geteuid():
            raise AgentError("only root can change services of this host: sudo remote-agent …")

    def make_account(self) -> None:
        """Make the user of the service. AgentError."""
        account.make(units.ACCOUNT)

    def state(self) -> ServiceState:
        """What there is now."""
        unit = self._text(self._folder / units.AGENT)
        if unit is None:
            unit = self._text(self._packaged / units.AGENT)
        if unit is None:
            return ServiceState(installed=False)
        known: dict[str, str] = {}
        if self._booted:
            text = self._systemctl("show", units.AGENT, "-p", _PROPERTIES)
            known = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        profile = re.search("--profile (\\S+)", self._text(self._drop_in) or "")
        pid = int(known.get("MainPID") or 0)
        return ServiceState(
            installed=True,
            active=known.get("ActiveState", "inactive"),
            enabled=known.get("UnitFileState") == "enabled",
            pid=pid,
            restarts=int(known.get("NRestarts") or 0),
            words=one_line(known.get("StatusText", "")),
            user=_value(unit, "User"),
            program=_value(unit, "ExecStart").removesuffix(" run").strip('"'),
            profile=profile[1] if profile else "strict",
            outdated=bool(pid) and self._runs_another(pid),
        )

    def _runs_another(self, pid: int) -> bool:
        """Whether a process runs another version than this one. A binary can be replaced while it
        runs; each version of it unpacks itself into a directory named for what is in it."""
        if not getattr(sys, "frozen", False):
            return False
        try:
            running = Path(os.readlink(self._root / f"proc/{pid}/exe"))
        except OSError:
            return False  # it has just ended
        return running.parent.name != Path(sys.executable).parent.name

    def prepare(self, program: str, user: str, profile: str) -> list[str]:
        """Have the account and its state directory; what was made."""
        return account.prepare(self, program, user, profile)

    def install(self, choice: Choice) -> list[str]:
        """Write the units, have the agent start with the host; the paths that have changed."""
        wanted = {
            self._folder / units.AGENT: self._own(units.AGENT, units.agent_unit(choice)),
            self._folder / units.JOBS: self._own(units.JOBS, units.jobs_unit(choice)),
            self._drop_in: units.profile_drop_in(choice),
        }
        try:
            changed = [str(path) for path, text in wanted.items() if self._write(path, text)]
        except OSError as error:
            raise AgentError(f"{os_words(error, self._folder)}; nothing was started") from None
        if changed:
            self._systemctl("daemon-reload")
        if not self.state().enabled:
            self._systemctl("enable", "--quiet", units.AGENT)
        return changed

    def _own(self, name: str, text: str) -> str:
        """What of a unit has to be written: nothing where a package has brought the very same."""
        return "" if self._text(self._packaged / name) == text else text

    def start(self) -> None:
        """Start it, without waiting: what it waits for is told by who waits."""
        self._systemctl("start", "--no-block", units.AGENT)

    def restart(self) -> None:
        """Start it anew; jobs run on."""
        self._systemctl("restart", "--no-block", units.AGENT)

    def stop(self, jobs_too: bool) -> None:
        """Stop it; `jobs_too` kills its jobs."""
        self._systemctl("stop", units.AGENT)
        if jobs_too:
            self._systemctl("stop", units.JOBS)
            self._kill_escaped()

    def _kill_escaped(self) -> None:
        """Kill what has left the group of jobs: the account may move processes in the slice, and
        jobs can be that account. Both services are stopped."""
        with suppress(AgentError):  # no process is left, and so no slice
            self._systemctl("kill", "--signal=SIGKILL", units.SLICE)

    def remove(self) -> list[str]:
        """Stop it, remove its units; what was there."""
        found = [path for path in self._files() if os.path.lexists(path)]
        if self._booted:
            # What is not loaded is no fault; what could not be stopped shows below.
            for unit in (units.AGENT, units.JOBS):
                with suppress(AgentError):
                    self._systemctl("disable", "--now", "--quiet", unit)
                with suppress(AgentError):
                    self._systemctl("stop", unit)
            self._kill_escaped()
            with suppress(AgentError):
                self._systemctl("stop", units.SLICE)
        removed = []
        for path in found:
            try:
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                else:
                    path.unlink(missing_ok=True)  # systemctl disable removes its links itself
                removed.append(str(path))
            except OSError as error:
                # A folder with drop-ins of the host's owner stays.
                if not path.is_dir():
                    raise AgentError(f"{os_words(error, path)}; remove it, then repeat") from None
        if self._booted:
            self._systemctl("daemon-reload")
            for unit in (units.AGENT, units.JOBS):
                with suppress(AgentError):
                    self._systemctl("reset-failed", unit)
        return removed

    def _files(self) -> list[Path]:
        wants = self._folder / "multi-user.target.wants" / units.AGENT
        own = [self._folder / name for name in (units.AGENT, units.JOBS)]
        return [wants, self._drop_in, self._drop_in.parent, *own]

    def complaints(self) -> list[str]:
        """The latest errors and warnings in its journal."""
        command = ["journalctl", "-u", units.AGENT, "-n", str(_LINES), "-o", "cat", "--no-pager"]
        try:
            lines = self._run(command, _TIMEOUT).stdout.splitlines()
        except (OSError, subprocess.TimeoutExpired):
            return []
        found = (one_line(complaint(line)) for line in lines)
        return list(dict.fromkeys(text for text in found if text))

    def _systemctl(self, *words: str) -> str:
        try:
            done = self._run(["systemctl", *words], _TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AgentError(f"systemctl {' '.join(words)} did not end") from None
        except OSError as error:
            raise AgentError(f"systemctl cannot be called: {error.strerror}") from None
        if done.returncode:
            why = done.stderr.strip() or done.stdout.strip() or "it does not say why"
            raise AgentError(f"systemctl {' '.join(words)}: {why}")
        return done.stdout

    def _write(self, path: Path, text: str) -> bool:
        """Have this text in a file, none for an empty one; whether that changed anything."""
        if text:
            return put(path, text.encode(), 0o644)
        if not os.path.lexists(path):
            return False
        path.unlink()
        if path == self._drop_in:
            with suppress(OSError):  # the owner's drop-ins are beside it
                path.parent.rmdir()
        return True

    @staticmethod
    def _text(path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            return ""  # a damaged one is written anew


def _value(unit: str, key: str) -> str:
    found = re.search(f"^{key}=(.*)$", unit, re.MULTILINE)
    return found[1] if found else ""


def complaint(line: str) -> str:
    """What a line of the journal complains about, for people; empty for other lines."""
    if line.startswith("{"):
        return own_log.complaint(line)
    if line.startswith("remote-agent: "):
        return line.removeprefix("remote-agent: ")
    # systemd's own.
    return line if line.startswith((_AT_STEP, _CREDENTIALS)) else ""
