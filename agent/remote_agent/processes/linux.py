"""What Linux does better: pidfds, a subreaper, /proc and boot ids. Reads /proc, sends signals.

A shim is the subreaper of its job: whatever daemonises itself below it becomes its child, so the
whole tree can be found and killed without a cgroup. Field numbers are those of proc(5).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from errno import ENOSYS
from typing import Final

from remote_agent.processes.posix import ExitWatch, reap
from remote_agent.processes.posix_users import pids, users_of
from remote_agent.processes.prctl import prctl
from remote_agent.processes.types import NOTHING_SWEPT, Swept, Usage

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Nanoseconds of a clock tick: 10 ms."""
_LONGEST_STAT: Final = 4096
"""Bytes of /proc/pid/stat at the most: some fifty numbers and a short name."""
_ROUND: Final = 0.002
"""Seconds between two looks at a tree that is dying."""
_FREEZES: Final = 50
"""Looks for new processes before what is stopped is killed; a bomb needs a few."""

WHOLE_TREES: Final = True
"""Every process of a job is found at its end, wherever it has hidden itself."""


def boot_id() -> str:
    """A UUID that changes when the host restarts."""
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _stat(pid: int) -> list[bytes] | None:
    """Fields of /proc/pid/stat from the third one on: the name before may hold anything."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            line = os.read(descriptor, _LONGEST_STAT)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return line.rpartition(b")")[2].split()


def start_time(pid: int) -> str | None:
    """Clock ticks from boot to the start of a process; None when there is none of that pid."""
    fields = _stat(pid)
    return None if fields is None else fields[19].decode()


def clock_tick() -> int:
    """The clock tick since boot that it is now, as `start_time` counts them."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // _TICK


def start_time_since(pid: int, tick: int) -> str | None:
    """`start_time` of a child that was started just now, not before this tick.

    Mostly it is the same tick still, so that the start was in it, too. Asking /proc for a new
    process takes 20 µs, in which the caller gives up the processor (measured).
    """
    return str(tick) if clock_tick() == tick else start_time(pid)


def alive(pid: int, started: str) -> bool:
    """Whether `pid` is still the process that started at `started`, and no zombie."""
    fields = _stat(pid)
    if fields is None:
        return False
    return fields[19].decode() == started and fields[0] not in (b"Z", b"X")


def become_subreaper() -> bool:
    """Become the parent of all orphaned descendants (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    return prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; for use between fork and exec."""
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def forbid_inspection() -> None:
    """Let no process of the same user read this one's memory or its open files, nor any core dump
    show them (prctl(2), PR_SET_DUMPABLE)."""
    prctl(_PR_SET_DUMPABLE, 0)


def children(pid: int) -> list[int]:
    """The direct children of all threads of a process."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
        except FileNotFoundError:
            if os.path.exists(f"/proc/{pid}/task/{thread}"):
                return _children_by_scan(pid)  # a kernel without CONFIG_PROC_CHILDREN
        except OSError:
            continue
    return found


def _children_by_scan(pid: int) -> list[int]:
    wanted = b"%d" % pid
    return [other for other in pids() if (stat := _stat(other)) and stat[1] == wanted]


def descendants(root: int, spare: frozenset[int] = frozenset()) -> list[int]:
    """Everything below `root`, parents first, without `spare` and what is below those."""
    found: list[int] = []
    queue = [root]
    while queue:
        for child in children(queue.pop()):
            if child not in spare and child not in found:
                found.append(child)
                queue.append(child)
    return found


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _running(pids: Iterable[int]) -> list[int]:
    """Those that are no zombies: a zombie is dead, whoever has to reap it."""
    return [pid for pid in pids if (stat := _stat(pid)) and stat[0] not in (b"Z", b"X")]


def _freeze_and_kill(find: Callable[[], list[int]]) -> set[int]:
    """Stop everything before killing: what is stopped cannot fork, so a fork bomb runs dry."""
    known: set[int] = set()
    for _ in range(_FREEZES):
        fresh = set(find()) - known
        if not fresh:
            break
        _signal(fresh, signal.SIGSTOP)
        known |= fresh
    _signal(known, signal.SIGKILL)
    return known


def kill_until_gone(find: Callable[[], list[int]], limit: float = 5.0) -> tuple[int, int]:
    """Kill what `find` finds until it finds nothing that runs: `(killed, survivors)`."""
    killed: set[int] = set()
    deadline = time.monotonic() + limit
    while left := _running(find()):
        # Not before the first kill: this process may have been without the processor for long.
        if killed and time.monotonic() > deadline:
            return len(killed), len(left)
        killed |= _freeze_and_kill(lambda: _running(find()))
        time.sleep(_ROUND)
    return len(killed), 0


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def kill_tree(leader: int) -> None:
    """SIGKILL to the group of `leader` and to everything else below this process; reaps nothing.

    `leader` must not have been reaped, or its number may belong to somebody else.
    """
    _kill_group(leader)
    me = os.getpid()
    _freeze_and_kill(lambda: _running(descendants(me)))


def sweep(leader: int, limit: float = 5.0) -> Swept:
    """Kill and reap everything below this process, within `limit` seconds.

    For a subreaper that has reaped `leader`, its job's main process. One system call when
    nothing is left, as after most jobs.
    """
    killed: set[int] = set()
    user = system = 0.0
    deadline: float | None = None
    while True:
        try:
            while (reaped := os.wait4(-1, os.WNOHANG))[0]:
                user += reaped[2].ru_utime
                system += reaped[2].ru_stime
        except ChildProcessError:
            if not killed and not user and not system:
                return NOTHING_SWEPT
            return Swept(len(killed), user, system, 0)
        if deadline is None:
            deadline = time.monotonic() + limit
        left = _running(descendants(os.getpid()))
        # Not before the first kill: this process may have been without the processor for long.
        if left and killed and time.monotonic() > deadline:
            return Swept(len(killed), user, system, len(left))
        # A group that has members keeps its number from being used again.
        if any((stat := _stat(pid)) and int(stat[2]) == leader for pid in left):
            _kill_group(leader)
        killed.update(left)
        killed |= _freeze_and_kill(lambda: _running(descendants(os.getpid())))
        time.sleep(_ROUND)


def environ_of(pid: int) -> dict[bytes, bytes]:
    """The environment with which a process was started; empty when it cannot be read."""
    try:
        entries = _read(f"/proc/{pid}/environ").split(b"\0")
    except OSError:
        return {}
    return dict(entry.partition(b"=")[::2] for entry in entries if entry)


def kill_orphans(spare: frozenset[int], keep: str, limit: float = 5.0) -> int:
    """Kill what dead shims left to this subreaper: its descendants without those of `spare`.

    A process whose environment has the name `keep` was left alive on purpose. Returns how many
    were killed.
    """
    kept = keep.encode()

    def find() -> list[int]:
        orphans = descendants(os.getpid(), spare)
        return [pid for pid in orphans if kept not in environ_of(pid)]

    return kill_until_gone(find, limit)[0]


def kill_marked(marks: Mapping[str, str], session: int, limit: float = 5.0) -> int:
    """Kill every process whose environment has all of `marks`, and what shares its session.

    For jobs whose shim died together with its launcher. A session's number counts only when a
    marked process is in it, so that nobody else's is hit. Returns how many were killed.
    """
    wanted = {(name.encode(), value.encode()) for name, value in marks.items()}
    me = os.getpid()

    def find() -> list[int]:
        others = [pid for pid in pids() if pid != me]
        marked = {pid for pid in others if wanted <= environ_of(pid).items()}
        sessions = {stat[3] for pid in marked if (stat := _stat(pid))} & {b"%d" % session}
        if sessions:
            marked |= {pid for pid in others if (stat := _stat(pid)) and stat[3] in sessions}
        return sorted(marked)

    return kill_until_gone(find, limit)[0]


def kill_user(uid: int, limit: float = 5.0) -> int:
    """Kill every process of a user who has no others than those of one job. How many.

    Not by kill(-1) as that user: a capability that is left would make it everybody's end.
    """
    return kill_until_gone(lambda: [pid for pid in pids() if uid in users_of(pid)], limit)[0]


def tree_memory(root: int, exact: bool = False) -> int:
    """Resident bytes of all descendants of `root` together.

    The quick sum counts pages that forked processes share once for each of them; `exact` takes
    proportional shares (PSS) where the kernel tells them.
    """
    total = 0
    for pid in descendants(root):
        with suppress(OSError, ValueError, IndexError):
            size = _proportional(pid) if exact else None
            if size is None:
                size = int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE
            total += size
    return total


def _proportional(pid: int) -> int | None:
    with suppress(OSError):
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return None


def watch_exit(pid: int) -> ExitWatch:
    """A watch on a child's exit, with or without pidfds (Linux 5.3)."""
    try:
        return PidWatch(pid)
    except OSError as error:
        if error.errno != ENOSYS:
            raise
        return ExitWatch(pid)


class PidWatch(ExitWatch):
    """A descriptor that becomes readable when a child has exited (pidfd_open(2))."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._descriptor = os.pidfd_open(pid)

    def waitable(self) -> int:
        """What a `Poller` takes."""
        return self._descriptor

    def reap(self) -> tuple[int, Usage] | None:
        """Wait status and usage of the child; None when it still runs."""
        return reap(self._pid)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
