"""The folder of all attempts: listed, kept open to the agent, tried, cleared of what is no attempt.

Touches `<state>/attempts`.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from remote_agent.journal.spares import make_empty
from remote_agent.processes import NEW, Folder, remove_tree, rename, restore_access
from remote_agent.shim.layout import EXIT, ORDER, SETTLED, WORK
from remote_protocol.attempt_id import AttemptId

log = structlog.get_logger("journal")

ATTEMPTS: Final = "attempts"
"""Its name in the state directory."""
_PROBE: Final = ".probe"
_PROBE_SIZE: Final = 64 * 1024
_BROKEN: Final = ".broken"


class AttemptsFolder:
    """The folder at `root`, which is made."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        restore_access(root, 0o700)

    def names(self) -> list[str]:
        """All names in it. OSError."""
        try:
            return os.listdir(self._root)
        except PermissionError:
            restore_access(self._root, 0o700)
            return os.listdir(self._root)

    def mend(self) -> bool:
        """Open the folders of all attempts to ourselves; whether a job had closed them."""
        closed = False
        for folder in (self._root.parent, self._root):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                with suppress(OSError):
                    restore_access(folder, stat.S_IMODE(folder.stat().st_mode) | 0o700)
                    log.warning(
                        "a job had closed a folder of the agent; it is open again", path=str(folder)
                    )
                    closed = True
        return closed

    def probe(self) -> None:
        """Make a directory and a file, and remove them. OSError when the disk refuses."""
        probe = self._root / _PROBE
        make_empty(probe, (WORK,))
        try:
            with Folder(probe) as folder:
                descriptor = folder.open(ORDER, NEW)
                try:
                    os.write(descriptor, bytes(_PROBE_SIZE))
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        finally:
            remove_tree(probe)

    def set_aside(self, name: str, reason: str) -> None:
        """Move something that is no attempt out of the way, and say where it is."""
        source, target = self._root / name, self._root / _BROKEN / f"{name}.{time.time_ns()}"
        log.error(
            "a directory among the attempts cannot be understood; moving it away",
            path=str(source),
            moved_to=str(target),
            why=reason,
        )
        try:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            with suppress(OSError):
                restore_access(source, 0o700)
            rename(source, target)
        except OSError as error:
            log.error("it cannot be moved away", path=str(source), reason=error.strerror)


def open_directory(directory: str) -> Folder | None:
    """The directory of an attempt; None where a job has put a file or a link in its place: what
    lies beyond it is not ours. FileNotFoundError; OSError when it cannot be opened now."""
    try:
        return Folder(directory)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        return None


def parse_key(name: str) -> AttemptId | None:
    """The attempt that a directory's name means; None for other names."""
    try:
        return AttemptId.parse(name)
    except ValueError:
        return None


def unsettled(state_dir: Path) -> tuple[list[str], list[str]]:
    """Attempts (`job.number`) on the disk that have not ended, and those whose end the server
    does not have yet."""
    running: list[str] = []
    undelivered: list[str] = []
    for entry in sorted((state_dir / ATTEMPTS).glob("*.*")):
        if parse_key(entry.name) is None or os.path.lexists(entry / SETTLED):
            continue
        (undelivered if os.path.lexists(entry / EXIT) else running).append(entry.name)
    return running, undelivered
