"""A shim's job: started into a Job Object, watched, interrupted, killed (Windows)."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import _winapi
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from remote_agent.processes.types import (
    NOT_EXECUTABLE,
    NOTHING_SWEPT,
    ExitStatus,
    SpawnFailed,
    Swept,
    Usage,
)
from remote_agent.processes.windows import api
from remote_agent.processes.windows.job import KILLED, Job, memory_of
from remote_agent.processes.windows.programs import command_line
from remote_agent.processes.windows.system import times

_SUSPENDED: Final = 0x4
_UNICODE: Final = 0x400
_ROUND: Final = 0.002
_BAD_FORMAT: Final = 193
_CTRL_C: Final = 0
_BREAK: Final = 1
_SIGNALS: Final = frozenset(
    f"SIG{name}" for name in ("HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "BREAK", "ABRT")
)
_CRASHES: Final = {
    0xC000_0005: (139, "access violation"),
    0xC000_00FD: (139, "stack overflow"),
    0xC000_001D: (132, "illegal instruction"),
    0xC000_0094: (136, "integer division by zero"),
    0xC000_0409: (134, "fast fail"),
    0xC000_0135: (127, "a DLL was not found"),
    0xC000_0142: (126, "a DLL could not be initialised"),
    0xC000_013A: (130, "interrupted by Ctrl-C or Ctrl-Break"),
}
"""NTSTATUS codes with which Windows ends a process, and what shells show elsewhere for the like."""


class _Child(NamedTuple):
    """A job's main process and what holds its tree."""

    handle: int
    job: Job
    leads: bool
    """Whether it leads a process group; such a one does not receive Ctrl-C."""


_CHILDREN: Final[dict[int, _Child]] = {}
"""What POSIX kernels keep for us: which children this process has. A pid alone holds nothing
here; the handles must be kept for as long as the children matter."""


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    output: tuple[int, int],
    before_exec: Callable[[], None] | None = None,
    stop_signal: str = "SIGTERM",
    stdin: int | None = None,
    umask: int | None = None,
) -> int:
    """Start a job and return its pid: own Job Object, `output` as its standard output and error,
    `stdin` as its standard input (None: it is empty). Nothing else is inherited.

    It is put into its Job Object before it runs its first instruction. SpawnFailed with a
    sentence when there is no such program. `before_exec` and `umask` are for systems that fork.
    Windows keeps Ctrl-C from process groups, so a job gets one of its own unless that is its
    `stop_signal`.
    """
    program, line = command_line(argv, env, cwd)
    job = Job()
    try:
        group = 0 if stop_signal == "SIGINT" else subprocess.CREATE_NEW_PROCESS_GROUP
        handle, thread, pid = _create(program, line, env, cwd, (stdin, *output), group)
    except OSError as error:
        job.close()
        why = "neither a binary of this machine nor a batch file"
        reason = why if error.winerror == _BAD_FORMAT else error.strerror
        raise SpawnFailed(
            f"program {argv[0]!r} could not be started: {reason}", NOT_EXECUTABLE
        ) from error
    try:
        job.take(handle)
    except OSError as error:
        _winapi.TerminateProcess(handle, KILLED)
        _winapi.CloseHandle(handle)
        job.close()
        raise SpawnFailed(
            f"no Job Object could hold {argv[0]!r}: {error.strerror}", NOT_EXECUTABLE
        ) from error
    finally:
        # Of a process that was terminated above nothing ever runs.
        api.resume_thread(thread)
        _winapi.CloseHandle(thread)
    _CHILDREN[pid] = _Child(handle, job, bool(group))
    return pid


def _create(
    program: str,
    line: str,
    env: Mapping[str, str],
    cwd: str,
    streams: tuple[int | None, int, int],
    group: int,
) -> tuple[int, int, int]:
    import msvcrt

    with open(os.devnull, "rb", buffering=0) as empty:
        stdin, out, err = streams
        handles = [msvcrt.get_osfhandle(empty.fileno()) if stdin is None else stdin, out, err]
        inherited = list(dict.fromkeys(handles))  # two streams may share a pipe
        for handle in inherited:
            os.set_handle_inheritable(handle, True)
        info = subprocess.STARTUPINFO(
            dwFlags=subprocess.STARTF_USESTDHANDLES,
            hStdInput=handles[0],
            hStdOutput=handles[1],
            hStdError=handles[2],
            lpAttributeList={"handle_list": inherited},
        )
        flags = _SUSPENDED | _UNICODE | group
        return _winapi.CreateProcess(program, line, None, None, True, flags, dict(env), cwd, info)[
            :3
        ]


def exit_status(status: int) -> ExitStatus:
    """What a 32-bit exit code means. Codes of a crash (NTSTATUS) become those of the signal that
    POSIX has for it; what a program gives itself stays."""
    code = status & 0xFFFF_FFFF
    if code in _CRASHES:
        shown, words = _CRASHES[code]
        return ExitStatus(shown, f"{words} (0x{code:08X})", forced=True)
    if code >= 0xC000_0000:
        # Programs that exit with a negative number look like this too.
        return ExitStatus(code - (1 << 32), f"exited with code 0x{code:08X}", forced=False)
    return ExitStatus(code, f"exited with code {code}", forced=False)


def is_signal(name: str) -> bool:
    """Whether a job may ask for this signal: SIGINT is Ctrl-C, SIGKILL kills, all other ones are
    Ctrl-Break."""
    return name in _SIGNALS


def interrupt(leader: int, name: str) -> str:
    """The polite signal, by the console that the shim shares with its job; in words, what was
    done."""
    child = _CHILDREN.get(leader)
    if child is None or name == "SIGKILL":
        kill_tree(leader)
        return "killed the whole process tree"
    event, words = (_BREAK, "CTRL_BREAK") if child.leads else (_CTRL_C, "CTRL_C")
    if not api.console_event(event, leader if child.leads else 0):
        return f"{words} could not be sent"
    return f"{words} to the job's processes"


def kill_tree(leader: int) -> None:
    """Kill the whole tree of a job."""
    child = _CHILDREN.get(leader)
    if child is not None:
        child.job.kill()


def leave_running(leader: int) -> None:
    """What a job has left in the background outlives its shim from now on."""
    child = _CHILDREN.pop(leader, None)
    if child is not None:
        child.job.leave_running()
        child.job.close()


def sweep(leader: int, limit: float = 5.0) -> Swept:
    """Kill what a job's main process has left, after its end, within `limit` seconds."""
    child = _CHILDREN.pop(leader, None)
    if child is None:
        return NOTHING_SWEPT
    try:
        deadline = time.monotonic() + limit
        killed = child.job.account().active
        while child.job.account().active and time.monotonic() < deadline:
            child.job.kill()
            time.sleep(_ROUND)
        used = child.job.account()
        _, user, system = times(child.handle)
        return Swept(
            killed, max(0.0, used.cpu_user - user), max(0.0, used.cpu_system - system), used.active
        )
    finally:
        child.job.close()


def tree_memory(root: int, exact: bool = False) -> int:
    """Resident bytes of all jobs of this process, which `root` must name."""
    return sum(child.job.memory() for child in _CHILDREN.values())


def watch_exit(pid: int) -> ExitWatch:
    """A watch on a child's exit."""
    return ExitWatch(_CHILDREN[pid].handle)


class ExitWatch:
    """A handle that is signalled when a child has exited."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def waitable(self) -> int:
        """What a `Poller` takes."""
        return self._handle

    def reap(self) -> tuple[int, Usage] | None:
        """Exit code and usage of the child; None when it still runs."""
        if _winapi.WaitForSingleObject(self._handle, 0) != _winapi.WAIT_OBJECT_0:
            return None
        code = _winapi.GetExitCodeProcess(self._handle)
        _, user, system = times(self._handle)
        return code, Usage(user, system, memory_of(self._handle)[1])

    def close(self) -> None:
        """Nothing: `sweep` still asks the handle, and it goes with this shim, soon."""
