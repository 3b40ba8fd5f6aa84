"""Puts the contents that a job names into its folders, once, before it starts. Touches those.

A mark in the attempt's directory says that all are there: an agent that restarts must not touch the
files of a job that its former process may have had started.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from remote_agent.journal.directory import BadFile
from remote_agent.journal.journal import Journal
from remote_agent.planning.work import WorkFile
from remote_agent.processes import HOST_FAULTS, NEW, Folder, name_problem, put_below
from remote_protocol.attempt_id import AttemptId
from remote_protocol.contents import ContentRef
from remote_protocol.spec import JobSpec

PLACED: Final = "contents.placed"
_SHOWN: Final = 200


class ContentFiles:
    """The files of jobs that are contents."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def placed(self, key: AttemptId) -> bool:
        """Whether all of an attempt are in their places. OSError."""
        with Folder(self._journal.path(key)) as folder:
            return folder.exists(PLACED)

    def place(self, key: AttemptId, spec: JobSpec, opened: Callable[[ContentRef], int]) -> None:
        """Copy each to its place, from the descriptor that `opened` gives, which is closed. Slow:
        in a thread. OSError; BadFile: a file cannot be put there."""
        for root, file in self._files(key, spec):
            assert file.content is not None
            source = opened(file.content)
            try:
                self._put(root, file, source, self._journal.users.owner(key))
            finally:
                os.close(source)
        with Folder(self._journal.path(key)) as folder, suppress(FileExistsError):
            os.close(folder.open(PLACED, NEW))

    def _files(self, key: AttemptId, spec: JobSpec) -> list[tuple[Path, WorkFile]]:
        """Those that are contents, each with the folder that its path begins in."""
        paths, work = self._journal.planned(key, spec)
        found = []
        for file in work.files:
            if file.content is None:
                continue
            if not file.own and paths.inside:
                below = file._replace(path=f"{paths.work.name}/{file.path}")
                found.append((paths.home, below))
            else:
                found.append((paths.home if file.own else paths.work, file))
        return found

    def _put(self, root: Path, file: WorkFile, source: int, owner: tuple[int, int] | None) -> None:
        parts = [part for part in file.path.split("/") if part not in ("", ".")]
        if problem := name_problem(file.path):
            raise BadFile(f"the job's file {file.path!r} cannot be put there: {problem}")
        try:
            put_below(str(root), parts, source, file.mode, owner)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in HOST_FAULTS:
                raise
            shown = file.path if len(file.path) <= _SHOWN else f"{file.path[:_SHOWN]}…"
            why = getattr(error, "strerror", None) or str(error)
            raise BadFile(
                f"the job's file {shown!r} cannot be put into its work directory: {why}"
            ) from error
