"""What POSIX systems other than Linux have: process groups, and `ps` in place of /proc.

macOS and the BSDs lack a subreaper, so a daemonised grandchild of a job can outlive it here. The
counterpart of `linux.py`, function by function.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from remote_agent.processes.posix import ExitWatch
from remote_agent.processes.types import NOTHING_SWEPT, Swept

WHOLE_TREES: Final = False
"""Whether every process of a job is found at its end, wherever it has hidden itself."""


def _ps(*arguments: str) -> list[str]:
    """Lines of `ps`, with a fixed locale; none when it fails."""
    done = subprocess.run(
        ["ps", *arguments], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    return done.stdout.splitlines()


def boot_id() -> str:
    """A text that changes when the host restarts; empty when the system has none."""
    name = "kern.bootsessionuuid" if sys.platform == "darwin" else "kern.boottime"
    with suppress(OSError):
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
        return done.stdout.strip()
    return ""


def start_time(pid: int) -> str | None:
    """When a process started, in the system's own words; None when there is no such process."""
    lines = _ps("-o", "lstart=", "-p", str(pid))
    return lines[0].strip() if lines else None


def clock_tick() -> int:
    """Nothing that `start_time_since` needs here."""
    return 0


def start_time_since(pid: int, tick: int) -> str | None:
    """`start_time` of a child that was started just now."""
    return start_time(pid)


def alive(pid: int, started: str) -> bool:
    """Whether `pid` is still the process that started at `started`, and no zombie."""
    lines = _ps("-o", "stat=,lstart=", "-p", str(pid))
    if not lines:
        return False
    state, _, at = lines[0].strip().partition(" ")
    return not state.startswith("Z") and at.strip() == started


def become_subreaper() -> bool:
    """Become the parent of all orphaned descendants. False where the system cannot do that."""
    return False


def forbid_inspection() -> None:
    """Let no other process read this one's memory; nothing where the system cannot be told."""


def prefer_as_oom_victim(pid: int) -> None:
    """Have the kernel kill this process before the agent and its shims when memory runs out."""


def start_oom_victims(yes: bool) -> None:
    """Have what this process starts be preferred so, or no more; nothing where it cannot."""


def protect_from_oom() -> None:
    """Have the kernel spare this process when memory runs out; nothing where it cannot."""


def kill_tree(leader: int) -> None:
    """SIGKILL to the process group of `leader`; reaps nothing."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def sweep(leader: int, limit: float = 5.0) -> Swept:
    """Kill what is left of a job's process group after its leader was reaped."""
    kill_tree(leader)
    return NOTHING_SWEPT


def kill_orphans(spare: frozenset[int], keep: str, limit: float = 5.0) -> int:
    """Kill what dead shims left to their launcher; without a subreaper it never gets any."""
    return 0


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; nothing where it cannot."""


def kill_marked(marks: Mapping[str, str], session: int, limit: float = 5.0) -> int:
    """Kill what a dead shim left behind; here only the process group. Returns how many."""
    if session <= 1:
        return 0
    try:
        os.killpg(session, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return 0
    return 1


def kill_user(uid: int, limit: float = 5.0) -> int:
    """Kill every process of a user who has no others than those of one job; how many."""
    killed = 0
    for line in _ps("-A", "-o", "pid=,uid="):
        pid, owner = map(int, line.split())
        if owner == uid:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed


def tree_memory(root: int, exact: bool = False) -> int:
    """Resident bytes of all descendants of `root` together."""
    rows = [[int(n) for n in line.split()] for line in _ps("-A", "-o", "pid=,ppid=,rss=")]
    below, total, grew = {root}, 0, True
    while grew:
        found = {row[0] for row in rows if row[1] in below} - below
        total += sum(row[2] * 1024 for row in rows if row[0] in found)
        below |= found
        grew = bool(found)
    return total


def watch_exit(pid: int) -> ExitWatch:
    """A watch on a child's exit."""
    return ExitWatch(pid)
