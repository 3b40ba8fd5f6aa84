"""A Job Object: holds a job's whole tree, counts it, kills it, and dies with its shim (Windows)."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes
from typing import Final, NamedTuple

from remote_agent.processes.windows import api
from remote_agent.processes.windows.system import process

KILLED: Final = 137
"""Exit code of what is killed here: that of SIGKILL elsewhere."""
_ACCOUNTING: Final = 1
_PROCESS_LIST: Final = 3
_EXTENDED_LIMITS: Final = 9
_KILL_ON_CLOSE: Final = 0x2000
_SECOND: Final = 10_000_000
_QUERY_AND_READ: Final = 0x1010
"""PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_VM_READ."""


class Account(NamedTuple):
    """What a tree has used so far, in CPU seconds, and how many of it run."""

    cpu_user: float
    cpu_system: float
    active: int


class Job:
    """Kills everything in it when its last handle is closed: when its shim dies, too."""

    def __init__(self) -> None:
        self._handle = api.check(api.create_job(None, None))
        self._limit(_KILL_ON_CLOSE)

    def _limit(self, flags: int) -> None:
        limits = api.ExtendedLimits()
        limits.basic.flags = flags
        size = ctypes.sizeof(limits)
        api.check(api.set_job(self._handle, _EXTENDED_LIMITS, ctypes.byref(limits), size))

    def take(self, handle: int) -> None:
        """Put a process into it, and with it all that it will start."""
        api.check(api.assign_job(self._handle, handle))

    def kill(self) -> None:
        """End everything in it."""
        api.terminate_job(self._handle, KILLED)

    def leave_running(self) -> None:
        """What is in it outlives it from now on."""
        self._limit(0)

    def account(self) -> Account:
        """What it has used, with those that have ended."""
        found = api.Accounting()
        size = ctypes.sizeof(found)
        api.check(api.query_job(self._handle, _ACCOUNTING, ctypes.byref(found), size, None))
        return Account(found.user / _SECOND, found.kernel / _SECOND, int(found.active))

    def memory(self) -> int:
        """Resident bytes of all that runs in it."""
        found = api.ProcessList()
        size = ctypes.sizeof(found)
        api.query_job(self._handle, _PROCESS_LIST, ctypes.byref(found), size, None)
        total = 0
        for pid in found.pids[: found.listed]:
            with process(pid, _QUERY_AND_READ) as handle:
                total += memory_of(handle)[0] if handle else 0
        return total

    def close(self) -> None:
        """Let go of it, once."""
        if self._handle:
            api.close_handle(self._handle)
            self._handle = None


def memory_of(handle: int) -> tuple[int, int]:
    """Resident bytes of a process, now and at most; zeros when it cannot be asked any more."""
    found = api.MemoryCounters()
    found.size = ctypes.sizeof(found)
    if not api.process_memory(handle, ctypes.byref(found), found.size):
        return 0, 0
    return int(found.working_set), int(found.peak_working_set)
