"""Facts about the host and its processes, and how a shim is started (Windows)."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from remote_agent.processes.types import HostFacts
from remote_agent.processes.windows import api
from remote_agent.processes.windows.files import APPEND, open_file

_NO_LIMIT: Final = 1 << 16

_TIME_OF_DAY: Final = 3
_TICKS: Final = 10_000_000
_LOOK_AT: Final = 0x0010_1000
"""PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE."""
_ENDED: Final = 0
_NO_BREAKAWAY: Final = 5
_APART: Final = subprocess.CREATE_NO_WINDOW
"""A console of its own that nobody sees: Ctrl-C and Ctrl-Break can be sent to its job, and those
of the agent's console do not come here."""
_IGNORE_BREAKS: Final = api.Handler(lambda event: event in (0, 1))
"""Receives Ctrl-C and Ctrl-Break and does nothing."""

WHOLE_TREES: Final = False
"""A directory is not used again: its access lists would have to be looked into."""
WATCHES_PIPES: Final = False
"""Whether an event loop can watch a pipe."""

boottime = time.monotonic
"""Monotonic seconds that also count while the machine sleeps."""


def boot_id() -> str:
    """A text that changes when the host restarts: its start, as it was measured then."""
    found = api.TimeOfDay()
    api.system_information(_TIME_OF_DAY, ctypes.byref(found), ctypes.sizeof(found), None)
    return f"{found.boot - found.boot_bias:x}"


@contextmanager
def process(pid: int, access: int = _LOOK_AT) -> Iterator[int | None]:
    """A handle of a process; None when there is none of that pid, or it is not ours to see."""
    handle = api.open_process(access, False, pid)
    try:
        yield handle
    finally:
        if handle:
            api.close_handle(handle)


def times(handle: int) -> tuple[int, float, float]:
    """When a process started (100 ns since 1601), its CPU seconds in user and in kernel mode."""
    start, _, kernel, user = (api.FileTime() for _ in range(4))
    api.check(api.process_times(handle, *map(ctypes.byref, (start, _, kernel, user))))
    return start.ticks, user.ticks / _TICKS, kernel.ticks / _TICKS


def start_time(pid: int) -> str | None:
    """When a process started, in 100 ns since 1601; None when there is none of that pid."""
    with process(pid) as handle:
        return str(times(handle)[0]) if handle else None


def clock_tick() -> int:
    """Nothing that `start_time_since` needs here."""
    return 0


def start_time_since(pid: int, tick: int) -> str | None:
    """`start_time` of a child that was started just now."""
    return start_time(pid)


def alive(pid: int, started: str) -> bool:
    """Whether `pid` is still the process that started at `started`, and runs."""
    with process(pid) as handle:
        if not handle or str(times(handle)[0]) != started:
            return False
        return bool(api.wait_for(handle, 0) != _ENDED)


def host_facts() -> HostFacts:
    """What the host is."""
    version = sys.getwindowsversion()
    release = f"{version.major}.{version.minor}.{version.build}"
    machine = os.environ.get("PROCESSOR_ARCHITECTURE", "")
    return HostFacts("Windows", release, machine, socket.gethostname())


def stop_signals() -> list[int]:
    """Signals by which somebody stops the agent: Ctrl-C and Ctrl-Break."""
    return [signal.SIGINT, signal.SIGBREAK]


def reload_signals() -> list[int]:
    """There is none by which the agent would read its configuration again."""
    return []


def reset_signals() -> None:
    """A shim does not end by the Ctrl-C that it sends to its job; the job does not ignore it."""
    api.handle_console(None, False)
    api.handle_console(_IGNORE_BREAKS, True)


def sequenced_pair() -> tuple[socket.socket, socket.socket] | None:
    """None: there is no launcher here, each attempt has a shim of its own."""
    return None


def ignored_signals() -> list[int]:
    """None."""
    return []


def unblock_signals() -> None:
    """Nothing: signals cannot be blocked."""


def raise_descriptors() -> tuple[int, int]:
    """The limit of open files before, and the one that holds now: here there is none."""
    return _NO_LIMIT, _NO_LIMIT


def lower_descriptors(soft: int) -> None:
    """Nothing: there is no limit."""


def has_ended(child: int) -> bool:
    """Whether a child needs no waiting for: none does."""
    return True


def start_detached(
    command: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    inherited: Sequence[int] = (),
    descriptors: int | None = None,
    stdin: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one, with a console and a log of its own.

    It leaves the Job Object of a service manager where that lets it.
    """
    output = open_file(log, APPEND)
    try:
        try:
            return _start(command, env, output, stdin, subprocess.CREATE_BREAKAWAY_FROM_JOB)
        except PermissionError as error:
            if error.winerror != _NO_BREAKAWAY:
                raise
            return _start(command, env, output, stdin, 0)
    finally:
        os.close(output)


def _start(
    command: Sequence[str], env: Mapping[str, str], output: int, stdin: int | None, flags: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command),
        env=dict(env),
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=output,
        stderr=output,
        cwd=env.get("SYSTEMROOT"),
        creationflags=_APART | flags,
    )


# What only POSIX systems need ------------------------------------------------------------------


def become_subreaper() -> bool:
    """False: a Job Object holds what a job forks."""
    return False


def is_init() -> bool:
    """False: orphans are nobody's there."""
    return False


def interrupt_on_stop() -> None:
    """Nothing, as above."""


def keep_running() -> int | None:
    """Nothing, as above."""
    return None


def die_with_parent(parent: int) -> None:
    """Nothing, as above."""


def forbid_inspection() -> None:
    """Nothing: processes of one user can read each other's memory on Windows."""


def prefer_as_oom_victim(pid: int) -> None:
    """Nothing: Windows refuses memory and kills nobody for it."""


def start_oom_victims(yes: bool) -> None:
    """Nothing, as above."""


def protect_from_oom() -> None:
    """Nothing, as above."""


def continue_stopped(pid: int) -> None:
    """Nothing: there is no SIGSTOP."""


def kill_orphans(spare: frozenset[int], keep: str, limit: float = 5.0) -> int:
    """None are left: the Job Object of a dead shim has killed them."""
    return 0


def kill_marked(marks: Mapping[str, str], session: int, limit: float = 5.0) -> int:
    """None are left: the Job Object of a dead shim has killed them."""
    return 0
