"""Attempts that ended without a word of their shim: what is left of them is killed and measured,
and their ends are recorded.

Touches processes, containers, spools and the directories of those attempts.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import ValidationError

from remote_agent.journal.containers import Containers
from remote_agent.journal.directory import (
    AttemptRecord,
    DirectoryContents,
    StartRecord,
    ended_from,
    size_of,
)
from remote_agent.journal.folder import AttemptsFolder
from remote_agent.journal.secret_folders import SecretFolders
from remote_agent.journal.users import Users
from remote_agent.processes import Folder, kill_marked, kill_user
from remote_agent.processes.cgroup import Group, is_group_of
from remote_agent.processes.forked import kill_session
from remote_agent.shim.launcher_client import tell
from remote_agent.shim.layout import EXIT, INTERPRETER_MARK
from remote_agent.shim.record import mark_begun, write_record
from remote_agent.spool import SpoolError, SpoolReader
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended, Phase
from remote_protocol.states import EndReason

log = structlog.get_logger("journal")

RESTARTED: Final = "the host restarted"
"""Why an attempt is lost, in words."""


class Losses:
    """Those of the agent on this `boot_id` of its host, whose attempts are in `attempts`."""

    def __init__(
        self,
        attempts: AttemptsFolder,
        users: Users,
        containers: Containers,
        secrets: SecretFolders,
        boot_id: str,
    ) -> None:
        self._attempts = attempts
        self._users = users
        self._containers = containers
        self._secrets = secrets
        self._boot_id = boot_id
        self.durable = True
        """Whether records are forced to the disk."""

    def kill_rest(self, key: AttemptId, started: StartRecord | None) -> int:
        """Kill what is left of an attempt's job, and remove its secrets; how many processes."""
        killed = kill_rest(key, started, self._users.of(key))
        self._secrets.remove(key)
        return killed

    def trust(self, key: AttemptId, directory: Path, reading: DirectoryContents) -> Ended:
        """The end as its record tells it, unless a power loss took a part of the log."""
        assert reading.exit is not None
        try:
            ended = ended_from(key, reading.exit)
        except ValidationError:
            return self.record(key, directory, reading)
        if reading.boot_id != self._boot_id and size_of(directory) < ended.size:
            return self.record(key, directory, reading)
        return ended

    def record(self, key: AttemptId, directory: Path, reading: DirectoryContents) -> Ended:
        """Record the loss of an attempt whose shim is dead, after killing what is left of it."""
        started = reading.started
        rebooted = (started.boot_id if started else reading.boot_id) != self._boot_id
        detail = RESTARTED if rebooted else "the shim died"
        if not rebooted:
            detail += killed_words(self.kill_rest(key, started))
        if reading.order.get("workload") == "container":
            # An engine may start containers again after the host did.
            detail += self._containers.remove(key)
        if reading.damage:
            detail += f"; its directory was damaged: {reading.damage}"
        body = lost(detail, *measure(directory, key), started)
        log.warning("an attempt is lost", attempt=str(key), reason=detail)
        # On a full disk the record is made again at the next look; nothing is lost by that.
        with suppress(OSError):
            write_end(directory, body, self.durable)
        return ended_from(key, body)

    def abandon(self, key: AttemptId, directory: Path, reason: str) -> AttemptRecord:
        """Give up an attempt whose directory is damaged: kill what runs of it, set it aside."""
        tell(directory, {"do": "kill", "reason": EndReason.LOST.value, "detail": reason})
        killed = killed_words(self.kill_rest(key, None))
        self._attempts.set_aside(directory.name, reason)
        return without_directory(key, f"its directory on the host was damaged: {reason}{killed}")


def without_directory(key: AttemptId, detail: str) -> AttemptRecord:
    """A lost attempt of which nothing is left on the disk."""
    ended = ended_from(key, lost(detail, 0, 0, None))
    return AttemptRecord(key, None, Phase.ENDED, 0, None, ended)


def refused_start(detail: str) -> dict[str, Any]:
    """The exit record of an attempt that can never start."""
    return {
        "exit_code": 126,
        "end_reason": EndReason.SPAWN_ERROR.value,
        "end_detail": detail,
        "size": 0,
        "checksum": 0,
        "ended_at": round(time.time(), 6),  # as the record has it
    }


def write_end(directory: Path, body: dict[str, Any], durable: bool) -> None:
    """Write an exit record where no shim does, and mark the attempt as begun (I1). OSError."""
    with Folder(directory) as folder:
        with suppress(FileExistsError):
            mark_begun(folder)
        write_record(folder, EXIT, body, durable)


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
        "ended_at": round(time.time(), 6),  # as the record has it
    }
