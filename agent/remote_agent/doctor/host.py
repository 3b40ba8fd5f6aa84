"""Static checks of the host's disk: the state directory, free space, programs that can run.

Reads the file system. To see whether programs can run in a folder, it runs a script of one line
there and removes it again.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from remote_agent.errors import os_words
from remote_agent.processes import set_mode
from remote_protocol.report import Check, Finding, Level
from remote_protocol.units import format_size

STATE_DIRECTORY: Final = Check(
    "state directory",
    Level.STATIC,
    (
        "state_directory_not_a_directory",
        "state_directory_not_writable",
        "state_directory_of_another_user",
        "state_directory_open_to_others",
    ),
)
DISK: Final = Check("disk", Level.STATIC, ("disk_below_reserve", "no_free_inodes"))
PROGRAMS: Final = Check(
    "programs", Level.STATIC, ("noexec", "program_cannot_run", "no_posix_programs")
)
_TRIAL_TIME: Final = 10.0
_DESCRIPTORS: Final = "/proc/self/fd"
_NO_EXEC: Final[int] = getattr(os, "ST_NOEXEC", 0)
"""Of statvfs(3); 0 where the system has no such flag."""


def state_directory(folder: Path) -> Finding:
    """Whether the agent can keep its files there, and others cannot."""
    other = "name another directory with --state-dir"
    try:
        found = folder.stat()
    except FileNotFoundError:
        return _missing(folder)
    except OSError as error:
        return STATE_DIRECTORY.failed(
            "state_directory_not_writable",
            f"{folder} cannot be used",
            os_words(error, folder),
            other,
        )
    if not stat.S_ISDIR(found.st_mode):
        return STATE_DIRECTORY.failed(
            "state_directory_not_a_directory", f"{folder} is no directory", "", other
        )
    user = os.geteuid() if hasattr(os, "geteuid") else found.st_uid
    if found.st_uid != user:
        return STATE_DIRECTORY.failed(
            "state_directory_of_another_user",
            f"{folder} belongs to user {found.st_uid}, and this is user {user}",
            "an agent works only in a directory of its own user",
            f"run doctor and agent as that user (sudo -u '#{found.st_uid}' remote-agent doctor), "
            f"or give the directory away: chown -R {user} {folder}",
        )
    if refusal := _refusal(folder):
        return refusal
    mode = stat.S_IMODE(found.st_mode)
    if hasattr(os, "geteuid") and mode & 0o066:
        return STATE_DIRECTORY.failed(
            "state_directory_open_to_others",
            f"{folder} is open to others (mode {mode:04o})",
            "the agent's token, and output of jobs, lie in it",
            f"chmod 700 {folder}; the next start of the agent does it, too",
        )
    return STATE_DIRECTORY.passed(f"{folder}, mode {mode:04o}")


def _missing(folder: Path) -> Finding:
    parent = nearest(folder)
    return _refusal(parent) or STATE_DIRECTORY.passed(
        f"{folder} does not exist yet; it can be made in {parent}"
    )


def _refusal(folder: Path) -> Finding | None:
    """The finding when nothing can be written there."""
    read_only = bool(_flags(folder) & getattr(os, "ST_RDONLY", 0))
    if os.access(folder, os.W_OK | os.X_OK) and not read_only:
        return None
    why = "its file system is mounted read-only" if read_only else "this user may not write there"
    return STATE_DIRECTORY.failed(
        "state_directory_not_writable",
        f"{folder} cannot be written",
        why,
        f"chown or chmod it for user {os.geteuid() if hasattr(os, 'geteuid') else 'of the agent'}, "
        "or name another directory with --state-dir",
    )


def disk(folder: Path, reserve: int) -> Finding:
    """Whether there is more space than the agent leaves free (`[limits] min_free_disk`)."""
    place = nearest(folder)
    free = shutil.disk_usage(place).free
    if free < reserve:
        return DISK.failed(
            "disk_below_reserve",
            f"{format_size(free)} are free for {place}",
            f"below {format_size(reserve)} ([limits] min_free_disk) the agent takes no jobs",
            "make room there, lower [logs] max_total and [limits] min_free_disk, or move the "
            "state directory (--state-dir)",
        )
    if hasattr(os, "statvfs"):
        inodes = os.statvfs(place)
        if inodes.f_files and not inodes.f_favail:
            return DISK.failed(
                "no_free_inodes",
                f"the file system of {place} has no free inodes",
                "no new file can be made, whatever space is free",
                "remove files there (df -i shows the use)",
            )
    return DISK.passed(f"{format_size(free)} free, {format_size(reserve)} are kept free")


def programs(work: Path) -> Finding:
    """Whether programs run where jobs have their files (`work`), and where the agent's own are."""
    own = Path(getattr(sys, "_MEIPASS", None) or sys.executable).absolute()
    for folder in (work, own if own.is_dir() else own.parent):
        if _flags(nearest(folder)) & _NO_EXEC:
            return PROGRAMS.failed(
                "noexec",
                f"{folder} is on a file system that is mounted noexec",
                "no program in it can be started: not the agent's own, not a script of a job",
                "mount it without noexec, or name another place: --state-dir, [agent] work_dir",
            )
    if not hasattr(os, "statvfs"):
        return PROGRAMS.skipped("no_posix_programs", "this system starts programs from anywhere")
    place = work if work.is_dir() else work.parent
    if not (place.is_dir() and os.access(place, os.W_OK) and _runs_what_it_wrote(place)):
        return PROGRAMS.passed("no file system is mounted noexec")
    return _trial(place) or PROGRAMS.passed(f"a script in {place} runs")


def _runs_what_it_wrote(place: Path) -> bool:
    # Root may look at the folder of an agent, or of a job, that puts its own script in the place
    # of ours.
    owner = place.stat().st_uid
    user = os.geteuid() if hasattr(os, "geteuid") else owner
    return os.path.exists(_DESCRIPTORS) or owner == user


def _trial(place: Path) -> Finding | None:
    """The finding when a script in this folder does not run."""
    descriptor, name = tempfile.mkstemp(prefix=".doctor-", dir=place)
    kept: list[int] = []
    try:
        with open(descriptor, "w") as file:
            file.write("#!/bin/sh\nexit 0\n")
            set_mode(descriptor, 0o700)
            if os.path.exists(_DESCRIPTORS):
                # Whatever has its name by now; and what is open for writing cannot be run.
                kept.append(os.open(f"{_DESCRIPTORS}/{descriptor}", os.O_RDONLY))
        command = f"{_DESCRIPTORS}/{kept[0]}" if kept else name
        done = subprocess.run(
            [command], check=False, timeout=_TRIAL_TIME, capture_output=True, pass_fds=kept
        )
        why = "" if done.returncode == 0 else f"it ended with {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        why = os_words(error, place) if isinstance(error, OSError) else "it did not end"
    finally:
        for opened in kept:
            os.close(opened)
        with suppress(OSError):
            os.unlink(name)
    if not why:
        return None
    return PROGRAMS.failed(
        "program_cannot_run",
        f"a script in {place} does not run",
        f"{why}; SELinux, AppArmor or fapolicyd may forbid it",
        "look into the audit log (ausearch -m avc -ts recent), or name another place: "
        "--state-dir, [agent] work_dir",
    )


def nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))


def _flags(place: Path) -> int:
    return os.statvfs(place).f_flag if hasattr(os, "statvfs") else 0
