"""The service of Windows hosts. Asks the service control manager; touches the service's folders."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from platformdirs import site_data_path

from remote_agent.errors import AgentError, os_words
from remote_agent.journal.folder import ATTEMPTS, unsettled
from remote_agent.processes import ServiceControl, ServiceSettings, alive
from remote_agent.service.own_log import COMPLAINTS, printed
from remote_agent.service.port import ServiceState
from remote_agent.service.units import Choice
from remote_agent.shim.layout import STARTED

NAME: Final = "remote-agent"
ACCOUNT: Final = rf"NT SERVICE\{NAME}"
"""The account that Windows has for this service alone: no password, and no rights but a user's."""
ROLE: Final = "_service"
"""First argument by which the program knows that the service control manager has started it."""
_DESCRIPTION: Final = "Runs jobs of a remote-server on this host, over one outbound connection."
_PROFILE: Final = "standard"
_TIMEOUT: Final = 90.0
_LINES: Final = 30
_ACTIVE: Final = {"starting": "activating", "stopping": "deactivating", "running": "active"}
_ACCESS_DENIED: Final = 5


class WindowsService:
    """The service control manager. `data` is where the service keeps its files."""

    account = ACCOUNT
    profiles: tuple[str, ...] = (_PROFILE,)

    def __init__(self, control: ServiceControl, data: Path | None = None) -> None:
        self._control = control
        self._timeout = _TIMEOUT
        self.config_dir = data or site_data_path(NAME, appauthor=False)
        self.state_dir = self.config_dir / "state"
        self.program_dir = self.config_dir / "program"

    def check(self) -> None:
        """AgentError for all who are not administrators."""
        if not self._control.allowed():
            raise AgentError(
                "only an administrator can change services of this host: start the terminal by "
                "“Run as administrator”"
            )

    def make_account(self) -> None:
        """Nothing: Windows makes the account of a service, and removes it."""

    def state(self) -> ServiceState:
        """What there is now."""
        found = self._control.query(NAME)
        if found is None:
            return ServiceState(installed=False)
        failed = found.state == "stopped" and found.exit_code
        program = found.command.removesuffix(f" {ROLE}").strip('"')
        return ServiceState(
            installed=True,
            active=_ACTIVE.get(found.state, "failed" if failed else "inactive"),
            enabled=found.automatic,
            pid=found.pid,
            words=f"it ended with exit code {found.exit_code}" if failed else "",
            user=found.account,
            program=program,
            profile=_PROFILE,
        )

    def prepare(self, program: str, user: str, profile: str) -> list[str]:
        """Make the folders of the service, closed to all but it and administrators."""
        made = []
        for folder, write in ((self.config_dir, False), (self.state_dir, True)):
            try:
                if not folder.exists():
                    folder.mkdir(parents=True)
                    made.append(str(folder))
                self._control.protect(folder, user, write)
            except OSError as error:
                raise AgentError(f"{os_words(error, folder)}; nothing was started") from None
        return made

    def install(self, choice: Choice) -> list[str]:
        """Tell the manager of the program and its account; whether that changed anything."""
        command = f'"{choice.program}" {ROLE}'
        before = self._control.query(NAME)
        # What the manager keeps of a password cannot be compared.
        same = before is not None and (before.command, before.account) == (command, choice.user)
        if same and before is not None and before.automatic and choice.password is None:
            return []
        settings = ServiceSettings(command, choice.user, choice.password, _DESCRIPTION)
        self._do("install", lambda: self._control.install(NAME, settings))
        return [f"service {NAME}"]

    def start(self) -> None:
        """Start it."""
        self._do("start", lambda: self._control.start(NAME))

    def restart(self) -> None:
        """Stop it and start it; its jobs run on."""
        self.stop(jobs_too=False)
        self.start()

    def stop(self, jobs_too: bool) -> None:
        """Stop it; `jobs_too` kills its jobs."""
        self._do("stop", lambda: self._control.stop(NAME, self._timeout))
        if jobs_too:
            self._kill_jobs()

    def remove(self) -> list[str]:
        """Stop it, kill its jobs, and have the manager forget it; what was there."""
        if self._control.query(NAME) is None:
            self._kill_jobs()
            return []
        self.stop(jobs_too=True)
        removed: list[bool] = []
        self._do("delete", lambda: removed.append(self._control.delete(NAME)))
        return [f"service {NAME}"] if removed[0] else []

    def complaints(self) -> list[str]:
        """What it has complained of last."""
        try:
            text = (self.state_dir / "logs" / COMPLAINTS).read_text("utf-8", "replace")
        except OSError:
            return []
        return printed(text.splitlines()[-_LINES:])

    def _kill_jobs(self) -> None:
        """End the shims: the Job Object of each then kills what its job has started."""
        with suppress(OSError):
            names = unsettled(self.state_dir)[0]
            shims = [shim for name in names if (shim := self._shim(name))]
            for pid, started in shims:
                if alive(pid, started):
                    with suppress(OSError):
                        os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + self._timeout
            while any(alive(*shim) for shim in shims) and time.monotonic() < deadline:
                time.sleep(0.05)

    def _shim(self, attempt: str) -> tuple[int, str] | None:
        try:
            text = (self.state_dir / ATTEMPTS / attempt / STARTED).read_bytes()
            started = json.loads(text)
            return int(started["shim_pid"]), str(started["shim_start_time"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _do(self, what: str, call: Callable[[], object]) -> None:
        try:
            call()
        except TimeoutError as error:
            raise AgentError(f"{error}; look at it: remote-agent service status") from None
        except OSError as error:
            words = error.strerror or str(error)
            if getattr(error, "winerror", 0) == _ACCESS_DENIED:
                words += "; only an administrator may"
            raise AgentError(f"the service {NAME}: {what}: {words}") from None
