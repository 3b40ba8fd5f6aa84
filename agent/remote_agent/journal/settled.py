"""What stays of a settled attempt: its log, until retention removes it. Touches its directory."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

import structlog

from remote_agent.journal.directory import damage_by_job
from remote_agent.planning import kinds
from remote_agent.processes import NEW as NEW_FILE
from remote_agent.processes import Folder
from remote_agent.shim.layout import INPUT, INPUT_END, MASK_FILE, ORDER, SETTLED, STARTED
from remote_protocol.attempt_id import AttemptId

log = structlog.get_logger("journal")


class SettledLog(NamedTuple):
    """A settled attempt whose log is still here: when it was settled, its size on the disk."""

    key: AttemptId
    settled_at: float
    size: int


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
