"""The files of jobs: where each has its own, and how they go. Touches those folders.

A job that runs as another user has a folder of its own below `jobs` in the state directory, or
below the configured one, out of its attempt's directory. Others have theirs in that.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from remote_agent.config import Config
from remote_agent.journal.directory import NEW
from remote_agent.journal.trash import Trash
from remote_agent.planning.paths import JobPaths, job_paths
from remote_agent.shim.layout import TEMPORARY
from remote_protocol.attempt_id import AttemptId

JOBS: Final = "jobs"
_OPEN: Final = 0o711
"""Anybody may pass, nobody may look."""


class JobFiles:
    """The files of all jobs. `attempts` is the folder of their attempts' directories, `separate`
    whether jobs run as other users."""

    def __init__(self, config: Config, attempts: Path, separate: bool) -> None:
        self._attempts = attempts
        self._separate = separate
        self._homes = config.state_dir / JOBS
        self._home_trash = Trash(self._homes)
        self._attempts_trash = Trash(attempts)
        self.adjust(config)

    def adjust(self, config: Config) -> None:
        """The configuration was read again."""
        self._outside = config.agent.work_dir
        self._trash = Trash(self._outside or self._attempts)

    @property
    def root(self) -> Path:
        """The folder of the folders of separate jobs."""
        return self._outside or self._homes

    def prepare(self) -> None:
        """Make that folder, if jobs are separate: their users can pass it. OSError."""
        if not self._separate:
            return
        for missing in reversed([self.root, *self.root.parents]):
            if not missing.exists():
                missing.mkdir(mode=_OPEN)
                missing.chmod(_OPEN)

    def paths(self, directory: str) -> JobPaths:
        """Where the job of the attempt with this directory has its files."""
        homes = self._homes if self._separate else None
        return job_paths(directory, self._outside, homes)

    @property
    def folders(self) -> tuple[str, ...]:
        """Those of a job's folders that are in its attempt's directory."""
        return self.paths(str(self._attempts / "any")).folders

    def discard(self, key: AttemptId) -> None:
        """Throw away what a job had, wherever: the configuration may have changed. OSError."""
        self._home_trash.take(self._homes / str(key))
        files = self.paths(str(self._attempts / str(key)))
        if self._separate:
            self._throw(files.home)
        else:
            self._throw(files.work)
            self._throw(files.home / TEMPORARY)

    def discard_work(self, key: AttemptId) -> None:
        """The same, but for what it gives back. OSError."""
        files = self.paths(str(self._attempts / str(key)))
        self._throw(files.work)
        self._throw(files.home / TEMPORARY)

    def _throw(self, folder: Path) -> None:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            trash = self._attempts_trash if folder.is_relative_to(self._attempts) else self._trash
            trash.take(folder)

    def clear(self, held: set[str]) -> None:
        """Throw away what separate jobs had, and no attempt has any more."""
        with suppress(OSError):
            for name in os.listdir(self._homes):
                if name.startswith(NEW) or (name not in held and not name.startswith(".")):
                    self._home_trash.take(self._homes / name)

    def purge(self, most: int) -> int:
        """Delete up to so many entries of what was thrown away; how many."""
        done = self._home_trash.purge(most)
        return done + (self._trash.purge(most - done) if self._outside is not None else 0)
