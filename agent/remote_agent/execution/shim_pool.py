"""Enough shims for what runs: their launcher, started again when it dies. Processes, their log."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from remote_agent.errors import os_words
from remote_agent.planning.work import Interpreter
from remote_agent.processes import cgroup, has_ended, rename
from remote_agent.sections import PythonPart
from remote_agent.shim.control_socket import forget_dead
from remote_agent.shim.launcher_client import LauncherClient
from remote_agent.shim.layout import SHIMS_FOLDER

if TYPE_CHECKING:
    from remote_agent.execution.interpreters import Interpreters

log = structlog.get_logger("runner")

SHIMS_LOG: Final = "shims.log"
LARGEST_LOG: Final = 5_000_000
"""Bytes after which what shims complained about is put aside at the next start."""
FORMER: Final = "_REMOTE_LAUNCHERS"
"""Variable that names the children of the program that this process was before its restart."""
SPARE: Final = 8
"""Shims that are kept ready beyond those that run an attempt; fewer when the capacity is less."""


class ShimPool:
    """The shims of one agent. `logs` is the folder for what they complain about, `descriptors`
    how many files jobs may open; None: as many as the agent. `group` is the control group that
    shims live in; None: in that of the agent. `hidden` are variables that they do not get."""

    def __init__(
        self,
        logs: Path,
        descriptors: int | None = None,
        group: str | None = None,
        hidden: Collection[str] = frozenset(),
    ) -> None:
        self._log = logs / SHIMS_LOG
        self._group = group
        place = self._move if group else None
        self._state_dir, self._descriptors = logs.parent, descriptors
        self._interpreters: Interpreters | None = None
        """Made for the first job that wants one."""
        self._shims = LauncherClient(self._log, descriptors, place, hidden)
        self._former = [int(pid) for pid in os.environ.pop(FORMER, "").split()]
        """Launchers of this process before it was restarted: they last as long as their shims."""
        self._wanted = 0
        self.capacity = 1
        """Attempts that are expected to run at a time."""

    @property
    def pid(self) -> int | None:
        """The launcher's; None when there is none."""
        return self._shims.pid

    def open(self) -> None:
        """Start the launcher. OSError when the host refuses."""
        self._wanted = max(1, min(self.capacity, SPARE))
        self._log.parent.mkdir(mode=0o700, exist_ok=True)
        forget_dead(self._state_dir / SHIMS_FOLDER)
        with suppress(FileNotFoundError):
            if self._log.stat().st_size > LARGEST_LOG:
                rename(self._log, self._log.with_name(f"{SHIMS_LOG}.1"))
        with suppress(OSError):  # a full disk: the launcher says so
            self._log.touch(mode=0o600)
            self._log.chmod(0o600)
        self._shims.start(self._wanted)

    def close(self) -> None:
        """Let go: those that keep an attempt go on, spare ones end."""
        self._shims.close()
        if self._interpreters is not None:
            self._interpreters.close()

    def hand_over(self) -> None:
        """This process is about to become another program, which has to wait for its children."""
        mine = [*self._former, *([] if self.pid is None else [self.pid])]
        if self._interpreters is not None:
            mine += self._interpreters.pids()
        os.environ[FORMER] = " ".join(map(str, mine))

    def request(self, directory: str | Path, secrets: Mapping[str, str] | None = None) -> None:
        """Have a shim keep the attempt in this directory, given the values of its secrets with
        each request. OSError: ask again later. SecretsError: no environment can hold them."""
        interpreters = self._interpreters
        if interpreters is not None and interpreters.pending(os.path.basename(directory)):
            raise BlockingIOError("its interpreter imports modules")
        self._shims.request(directory, secrets)

    def want_interpreter(
        self, attempt: str, wanted: Interpreter, settings: PythonPart, inherited: Mapping[str, str]
    ) -> None:
        """An attempt will be forked from a warm interpreter: have that ready at its start.
        `inherited` is what jobs have of the agent's environment."""
        if self._interpreters is None:
            from remote_agent.execution.interpreters import Interpreters

            place = self._move if self._group else None
            self._interpreters = Interpreters(self._state_dir, inherited, self._descriptors, place)
        self._interpreters.want(attempt, wanted, settings)

    def fit(self, running: int) -> None:
        """Keep enough of them. Light weights may let more attempts run than the capacity says."""
        free = max(0, self.capacity - running)
        need = max(1, min(self.capacity, SPARE), running + min(free, SPARE // 2))
        if need > self._wanted:
            need += min(free, SPARE) if need > SPARE else 0
        elif self._wanted <= need + 2 * SPARE:
            return
        self._wanted = need
        with suppress(OSError):
            self._shims.resize(need)

    def _move(self, launcher: int) -> None:
        assert self._group is not None
        try:
            cgroup.adopt(self._group, launcher)
        except OSError as error:
            log.warning(
                "shims stay in the agent's control group; the limits of jobs are watched instead",
                reason=os_words(error, self._group),
            )

    def revive(self) -> bool:
        """Start another launcher if it has died; True when there is a new one, which knows of no
        request."""
        self._former = [pid for pid in self._former if not has_ended(pid)]
        if self._interpreters is not None:
            self._interpreters.tick()
        if self._shims.alive():
            return False
        log.error("the launcher of the shims has died; starting another one")
        try:
            self._shims.start(self._wanted)
        except OSError as error:
            log.error("the launcher cannot be started; trying again", reason=str(error))
            return False
        return True
