"""Control groups, version 2 (kernel documentation: admin-guide/cgroup-v2). Touches /sys/fs/cgroup.

A job gets a group of its own only where the agent's group is delegated to it and the job asks for
something that needs one: moving a process costs up to ten milliseconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

CONTROLLERS: Final = ("cpu", "io", "memory", "pids")
_JOB_PREFIX: Final = "job-"
_AGENT_LEAF: Final = "agent"
_SERVICE: Final = ".service"
_OF_JOBS: Final = "-jobs.service"


class Limits(NamedTuple):
    """What a job's group enforces; bytes, and weights from 1 to 10000 (default there 100)."""

    memory: int | None = None
    cpu_weight: int | None = None
    io_weight: int | None = None


def own_group(proc_cgroup: str, mountinfo: str) -> str | None:
    """Folder of the group in which a process is; None without version 2.

    Takes the texts of /proc/self/cgroup and /proc/self/mountinfo (proc(5)).
    """
    group = next((line[3:] for line in proc_cgroup.splitlines() if line.startswith("0::")), None)
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        if group is not None and right.startswith("cgroup2 "):
            root, mount = left.split()[3:5]
            inside = group.removeprefix(root) if root != "/" else group
            return mount.rstrip("/") + inside.rstrip("/") or mount
    return None


def parse_flat(text: str) -> dict[str, int]:
    """A flat keyed file, such as memory.events or pids.events."""
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def delegated(folder: str) -> bool:
    """Whether this group was handed to the agent: by ownership, or by systemd's mark."""
    try:
        if os.geteuid() and os.stat(folder).st_uid == os.geteuid():
            return True
    except OSError:
        return False
    for mark in ("trusted.delegate", "user.delegate"):
        with suppress(OSError):
            if os.getxattr(folder, mark) == b"1":
                return True
    return False


def beside(own: str) -> str | None:
    """The group of the service that is there for the jobs of the one in `own`, by its name:
    `a-jobs.service` for `a.service`. None when `own` is no service's."""
    return own.removesuffix(_SERVICE) + _OF_JOBS if own.endswith(_SERVICE) else None


def group_for_jobs(own: str) -> str | None:
    """The delegated group for the jobs of an agent in `own`; None when there is none.

    That of a service beside it goes first: a group with controllers for its subgroups takes no
    processes (version 2), so systemd could not start the agent again in its own one while jobs
    run below it.
    """
    return next((group for group in (beside(own), own) if group and delegated(group)), None)


def adopt(folder: str, pid: int) -> None:
    """Move a process into the leaf of a prepared group. OSError."""
    _put(f"{folder}/{_AGENT_LEAF}/cgroup.procs", str(pid))


def prepare(folder: str) -> frozenset[str]:
    """Make room for jobs in a delegated group; returns the controllers they can use.

    Version 2 allows no processes beside subgroups with controllers, so everything moves into a
    leaf of its own first: the agent lives outside its jobs' groups. Idempotent.
    """
    leaf = f"{folder}/{_AGENT_LEAF}"
    with suppress(FileExistsError):
        os.mkdir(leaf)
    for pid in _text(f"{folder}/cgroup.procs").split():
        with suppress(ProcessLookupError):
            _put(f"{leaf}/cgroup.procs", pid)
    there = _text(f"{folder}/cgroup.controllers").split()
    for controller in CONTROLLERS:
        if controller in there:
            with suppress(OSError):
                _put(f"{folder}/cgroup.subtree_control", f"+{controller}")
    return frozenset(_text(f"{folder}/cgroup.subtree_control").split())


def is_group_of(folder: str, name: str) -> bool:
    """Whether a folder can be the group of the attempt of this name."""
    return folder.startswith("/") and folder.endswith(f"/{_JOB_PREFIX}{name}")


class Group:
    """The group of one attempt. Made by `create`, gone after `remove`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @classmethod
    def create(cls, base: str, name: str, limits: Limits) -> Group:
        """A new group below `base`. OSError when a limit cannot be set; then nothing is left."""
        group = cls(f"{base}/{_JOB_PREFIX}{name}")
        with suppress(FileExistsError):
            os.mkdir(group.folder)
        try:
            if limits.memory is not None:
                group._set("memory.max", str(limits.memory))
                group._set("memory.oom.group", "1")
                with suppress(OSError):
                    group._set("memory.swap.max", "0")
            if limits.cpu_weight is not None:
                group._set("cpu.weight", str(limits.cpu_weight))
            if limits.io_weight is not None:
                with suppress(OSError):  # many disk schedulers have no weights
                    group._set("io.weight", f"default {limits.io_weight}")
        except OSError:
            group.remove()
            raise
        return group

    def _set(self, name: str, value: str) -> None:
        _put(f"{self.folder}/{name}", value)

    def joiner(self) -> Callable[[], None]:
        """What a child has to call between fork and exec to be born in this group."""
        procs = f"{self.folder}/cgroup.procs"
        return lambda: _put(procs, "0")

    def take(self, pid: int) -> None:
        """Move a process into this group. OSError."""
        self._set("cgroup.procs", str(pid))

    def kill(self) -> bool:
        """Kill everything in the group at once (cgroup.kill, Linux 5.14); False without it."""
        try:
            self._set("cgroup.kill", "1")
        except OSError:
            return False
        return True

    def oom_kills(self) -> int:
        """How many processes were killed for the memory limit."""
        try:
            return parse_flat(_text(f"{self.folder}/memory.events")).get("oom_kill", 0)
        except OSError:
            return 0

    def peak(self) -> int:
        """Most memory ever used, in bytes; 0 when the kernel does not say (before 5.19)."""
        try:
            return int(_text(f"{self.folder}/memory.peak"))
        except (OSError, ValueError):
            return 0

    def remove(self, limit: float = 2.0) -> bool:
        """Remove the group; the kernel refuses while a dying process is still in it."""
        deadline = time.monotonic() + limit
        while True:
            try:
                os.rmdir(self.folder)
            except FileNotFoundError:
                return True
            except OSError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.005)
            else:
                return True


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _put(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
