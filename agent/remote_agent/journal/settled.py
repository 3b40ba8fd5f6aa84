"""What stays of settled attempts: their logs, until retention removes them. Touches their
directories, and `.logs` beside them.

A log of one piece, of a job that left nothing else, is a file in `.logs` with the attempt's name:
its directory is used again. Others stay in their directories.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from remote_agent.journal.directory import damage_by_job
from remote_agent.journal.folder import AttemptsFolder, parse_key
from remote_agent.planning import kinds
from remote_agent.processes import NEW as NEW_FILE
from remote_agent.processes import Folder, restore_access
from remote_agent.shim.layout import INPUT, INPUT_END, MASK_FILE, ORDER, SETTLED, STARTED
from remote_agent.spool import SpoolReader
from remote_protocol.attempt_id import AttemptId

log = structlog.get_logger("journal")


LOGS: Final = ".logs"
"""The folder of logs without a directory, beside the directories of attempts."""
_BLOCK: Final = 512
"""Bytes of a unit of st_blocks (stat(2))."""


class SettledLog(NamedTuple):
    """A settled attempt whose log is still here: when it was settled, its size on the disk."""

    key: AttemptId
    settled_at: float
    size: int


class SettledLogs:
    """Those of the attempts in the folder at `root`."""

    def __init__(self, root: Path, attempts: AttemptsFolder) -> None:
        self._root = root
        self._attempts = attempts
        self._logs = root / LOGS
        self._make_logs()
        self._prefix = f"{self._logs}{os.sep}"
        self._reported: set[str] = set()
        """Names of directories that were reported as unreadable."""

    def path(self, name: str) -> str:
        """Where the log of the attempt of this name is, if it has no directory."""
        return self._prefix + name

    def find(self) -> Iterator[SettledLog]:
        """All that are still here, in no order. One that cannot be read is reported, and hides no
        other."""
        yield from self._find_files()
        for name in self._attempts.names():
            key = parse_key(name)
            if key is None:
                continue
            directory = self._root / name
            try:
                with Folder(directory) as folder:
                    at = folder.changed_at(SETTLED)
                if at is not None:
                    yield SettledLog(key, at, SpoolReader(directory).disk_usage())
            except FileNotFoundError:
                continue
            except OSError as error:
                self._report(directory, error)

    def _find_files(self) -> Iterator[SettledLog]:
        try:
            self._make_logs()
            names = os.listdir(self._logs)
        except OSError as error:
            self._report(self._logs, error)
            return
        for name in names:
            if (key := parse_key(name)) is None:
                continue
            try:
                found = os.lstat(self.path(name))
            except FileNotFoundError:
                continue
            # Most are a line or two, and take a whole block: that is what `max_total` is about.
            blocks = getattr(found, "st_blocks", 0) * _BLOCK
            yield SettledLog(key, found.st_mtime, max(found.st_size, blocks))

    def _make_logs(self) -> None:
        """Have the folder of logs, and open to us, whatever a job has done to it. OSError."""
        try:
            os.mkdir(self._logs, 0o700)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(self._logs).st_mode):
                restore_access(self._logs, 0o700)
            else:
                self._attempts.set_aside(LOGS, "it is not the folder of logs")
                os.mkdir(self._logs, 0o700)

    def _report(self, place: Path, error: OSError) -> None:
        """Say what cannot be read, once."""
        if place.name not in self._reported:
            self._reported.add(place.name)
            log.warning("a settled attempt cannot be read", path=str(place), reason=str(error))


def leave_log(key: AttemptId, folder: Folder) -> bool:
    """Leave only its log in an attempt's directory; False when there is none. OSError."""
    names = folder.names()
    if damage := damage_by_job(folder, names):
        log.warning("a job has damaged its attempt", attempt=str(key), files=damage)
    if not any(name.startswith("output.") for name in names):
        return False
    keep_log(folder)
    return True


def keep_log(folder: Folder) -> None:
    """Leave only its log in an attempt's directory. OSError when the disk does not let it."""
    try:
        # A rename costs a third of making a file, and this happens to every attempt.
        folder.rename(STARTED, SETTLED)
        folder.touch(SETTLED)
    except OSError:
        # There is none, or a job has put something else there.
        folder.clear(SETTLED)
        os.close(folder.open(SETTLED, NEW_FILE))
    for name in (ORDER, INPUT, INPUT_END, MASK_FILE, *kinds.OWN_FILES):
        with suppress(FileNotFoundError):
            folder.clear(name)
