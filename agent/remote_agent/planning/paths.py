"""Where the files of a job are: its own folder and its work directory. Pure.

As text, since every job has them: a `Path` costs more than most of what is done with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from remote_agent.shim.layout import ARTIFACTS, TEMPORARY, WORK

FOLDERS: Final = (ARTIFACTS, TEMPORARY, WORK)
"""The folders of every job."""


class JobPaths(NamedTuple):
    """Where the files of an attempt's job are."""

    folder: str
    """The path of `home`."""
    elsewhere: str | None = None
    """The path of the work directory, if that is not the one in `home`."""
    apart: bool = False
    """Whether `home` is not the attempt's directory."""
    inside: bool = True
    """Whether the work directory is in it."""

    @property
    def home(self) -> Path:
        """The folder of all but, perhaps, its work directory: the attempt's, or its user's."""
        return Path(self.folder)

    @property
    def work_dir(self) -> str:
        """The path of the work directory."""
        return self.of(WORK) if self.elsewhere is None else self.elsewhere

    @property
    def work(self) -> Path:
        """The work directory."""
        return Path(self.work_dir)

    @property
    def folders(self) -> tuple[str, ...]:
        """Those that belong into the attempt's directory."""
        if self.apart:
            return ()
        return FOLDERS if self.inside else FOLDERS[:-1]

    def of(self, name: str) -> str:
        """The path of one of them."""
        return f"{self.folder}{os.sep}{name}"


def job_paths(directory: str, work_root: Path | None, jobs: Path | None) -> JobPaths:
    """Where the job of the attempt in `directory` has its files.

    `jobs` is the folder in which jobs of other users have theirs, `work_root` the configured one.
    """
    if jobs is not None:
        return JobPaths(str((work_root or jobs) / os.path.basename(directory)), apart=True)
    if work_root is None:
        return JobPaths(directory)
    return JobPaths(directory, str(work_root / os.path.basename(directory)), inside=False)
