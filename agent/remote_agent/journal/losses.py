"""Attempts that ended without a word of their shim: what is left of them is killed and measured.

Touches processes, and reads spools.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import structlog

from remote_agent.journal.directory import StartRecord
from remote_agent.processes import kill_marked, kill_user
from remote_agent.processes.cgroup import Group, is_group_of
from remote_agent.processes.forked import kill_session
from remote_agent.shim.layout import INTERPRETER_MARK
from remote_agent.spool import SpoolError, SpoolReader
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason

log = structlog.get_logger("journal")


def kill_rest(key: AttemptId, started: StartRecord | None, uid: int | None = None) -> int:
    """Kill what is left of an attempt's job, on this boot of the host, with all processes of the
    user `uid`, who is nobody else; how many."""
    if started is not None and started.cgroup and is_group_of(started.cgroup, str(key)):
        group = Group(started.cgroup)
        group.kill()
        group.remove(limit=0.1)
    marks = {"REMOTE_JOB_ID": key.job, "REMOTE_ATTEMPT": str(key.number)}
    killed = kill_marked(marks, started.pid if started else 0)
    if started is not None and started.mark:
        # What was forked has the environment of what it was forked from, for others to see.
        mark = {INTERPRETER_MARK: started.mark}
        killed += kill_session(started.pid, started.start_time, mark)
    return killed if uid is None else killed + kill_user(uid)


def killed_words(killed: int) -> str:
    """The end of a sentence about it."""
    return f"; {killed} processes of the job were killed" if killed else ""


def measure(directory: Path, key: AttemptId) -> tuple[int, int]:
    """Size and checksum of a log, as far as they can be told."""
    spool = SpoolReader(directory)
    size = checksum = 0
    try:
        size = spool.size()
        checksum = spool.checksum()
    except (SpoolError, OSError) as error:
        log.error("the log of a lost attempt is incomplete", attempt=str(key), reason=str(error))
    finally:
        spool.close()
    return size, checksum


def lost(detail: str, size: int, checksum: int, started: StartRecord | None) -> dict[str, Any]:
    """The exit record of an attempt that is lost."""
    return {
        "exit_code": None,
        "end_reason": EndReason.LOST.value,
        "end_detail": detail,
        "size": size,
        "checksum": checksum,
        "started_at": started.at if started else None,
        "ended_at": time.time(),
    }
