"""Where the files of a job are: its own folder and its work directory. Pure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from remote_agent.shim.layout import ARTIFACTS, TEMPORARY, WORK

FOLDERS: Final = (ARTIFACTS, TEMPORARY, WORK)
"""The folders of every job."""


class JobPaths(NamedTuple):
    """Where the files of an attempt's job are."""

    home: Path
    """The folder of all but, perhaps, its work directory: the attempt's, or the job's user's."""
    elsewhere: Path | None = None
    """The work directory, if it is not the one in `home`."""
    apart: bool = False
    """Whether `home` is not the attempt's directory."""
    inside: bool = True
    """Whether the work directory is in it."""

    @property
    def work(self) -> Path:
        """The work directory."""
        return self.home / WORK if self.elsewhere is None else self.elsewhere

    @property
    def folders(self) -> tuple[str, ...]:
        """Those that belong into the attempt's directory."""
        if self.apart:
            return ()
        return FOLDERS if self.inside else FOLDERS[:-1]

    def of(self, name: str) -> str:
        """The path of one of them."""
        return f"{self.home}{os.sep}{name}"


def job_paths(directory: Path, work_root: Path | None, jobs: Path | None) -> JobPaths:
    """Where the job of the attempt in `directory` has its files.

    `jobs` is the folder in which jobs of other users have theirs, `work_root` the configured one.
    """
    if jobs is not None:
        home = (work_root or jobs) / directory.name
        return JobPaths(home, apart=True)
    if work_root is None:
        return JobPaths(directory)
    return JobPaths(directory, work_root / directory.name, inside=False)
