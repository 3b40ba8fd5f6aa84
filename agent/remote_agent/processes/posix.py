"""What every POSIX system does alike: start a job, watch and interrupt it, start a shim, signals.

What Linux does better is in `linux.py`, what the others do instead in `bsd.py`. Uses signals, and
fork through `subprocess`.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import EACCES, ENOENT, ENOEXEC, ENOTDIR, EPROTONOSUPPORT
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from remote_agent.processes.posix_limits import give_descriptors
from remote_agent.processes.types import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    ExitStatus,
    HostFacts,
    SpawnFailed,
    Usage,
    not_found_cure,
)

SCRIPT_ENDINGS: Final = ("",)
"""What `script_name` may put after a name."""
_RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024
"""getrusage(2): kilobytes, but bytes on macOS."""
_SPAWNS: Final = sys.platform == "linux"
"""Whether jobs are started by posix_spawn(3)."""
_PLACE: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_EMPTY_INPUT: Final = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
_LAST_STREAM: Final = 2
_SIGNALS: Final = tuple(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
"""All that a process can ignore, as Python does some: no job shall. Of each that is not named the C
library asks the kernel first, in each new process (posix_spawn(3) of glibc)."""


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
    """Start a job and return its pid: own session, `output` as 1 and 2, `stdin` as 0 (None: it
    is empty).

    The program is looked up in the *job's* PATH. Everything but 0, 1 and 2 is closed, signals
    are at their defaults. With `before_exec` the child is forked and calls it (1.2 ms here);
    without, it is vforked (0.6 ms). SpawnFailed with a sentence when there is no such program.
    `stop_signal` is for systems that must know it beforehand. For processes with one thread.
    """
    if before_exec is None and _SPAWNS:
        try:
            return _spawn_known(argv, env, cwd, output, stdin, umask)
        except (OSError, ValueError):
            # Nothing has started, and `subprocess` says more about what is wrong.
            pass
    empty = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        process = subprocess.Popen(
            list(argv),
            env=env,
            cwd=cwd,
            stdin=empty if stdin is None else stdin,
            stdout=output[0],
            stderr=output[1],
            start_new_session=True,
            umask=-1 if umask is None else umask,
            preexec_fn=before_exec,  # noqa: PLW1509 - shims have one thread
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise _reason(error, argv[0], env, cwd) from error
    finally:
        os.close(empty)
    # The shim reaps by itself, with resource usage: Popen must neither wait nor warn.
    process.returncode = 0
    return process.pid


def _spawn_known(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    output: tuple[int, int],
    stdin: int | None,
    umask: int | None,
) -> int:
    """The same as a call of posix_spawn(3), for half of the work. OSError, ValueError.

    That knows neither a working directory nor a umask: the child has those of this process, which
    has the job's for so long. Nor does it close files: shims have none that a child inherits
    (`reset_signals`).
    """
    here = os.open(".", _PLACE)
    former = None
    try:
        os.chdir(cwd)
        former = None if umask is None else os.umask(umask)
        streams: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            _EMPTY_INPUT if stdin is None else (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, output[0], 1),
            (os.POSIX_SPAWN_DUP2, output[1], 2),
        ]
        return os.posix_spawn(
            _program(argv[0], env),
            list(argv),
            env,
            file_actions=streams,
            setsid=True,
            setsigdef=_SIGNALS,
        )
    finally:
        if former is not None:
            os.umask(former)
        _go_back(here)


def _go_back(here: int) -> None:
    """Work in this open folder again. RuntimeError when that is refused: the job has been started,
    so nobody may take it for an error of its start, after which it would be started once more."""
    try:
        try:
            os.fchdir(here)
        except PermissionError:
            # Closed by the job meanwhile.
            os.fchmod(here, 0o700)
            os.fchdir(here)
    except OSError as error:
        raise RuntimeError(f"the attempt's directory cannot be entered again: {error}") from error
    finally:
        os.close(here)


def _program(name: str, env: Mapping[str, str]) -> str:
    """Path of a program; FileNotFoundError when the first look finds none."""
    if "/" in name:
        return name
    for folder in env.get("PATH", "").split(":"):
        path = f"{folder}/{name}" if folder else name
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(ENOENT, os.strerror(ENOENT), name)


def _reason(error: Exception, program: str, env: Mapping[str, str], cwd: str) -> SpawnFailed:
    code = error.errno if isinstance(error, OSError) else None
    if not isinstance(error, OSError):
        return SpawnFailed(f"program {program!r} could not be started: {error}", NOT_EXECUTABLE)
    if error.filename == cwd and program != cwd:
        return SpawnFailed(
            f"the working directory {cwd!r} cannot be entered: {error.strerror}", NOT_EXECUTABLE
        )
    if code in (ENOENT, ENOTDIR):
        if cure := not_found_cure(program):
            return SpawnFailed(f"program {program!r} not found; {cure}", NOT_FOUND)
        if os.path.exists(os.path.join(cwd, program)):
            return SpawnFailed(
                f"the interpreter that {program!r} names in its #! line was not found", NOT_FOUND
            )
        return SpawnFailed(f"program {program!r} not found on this host", NOT_FOUND)
    if code == EACCES:
        return SpawnFailed(
            f"program {program!r} is not executable; it is a directory or lacks the x permission",
            NOT_EXECUTABLE,
        )
    if code == ENOEXEC:
        return SpawnFailed(
            f"program {program!r} is not executable: neither a binary of this machine "
            "nor a script with a #! line",
            NOT_EXECUTABLE,
        )
    return SpawnFailed(f"program {program!r} could not be started: {error.strerror}", 126)


boottime: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)
"""Monotonic seconds that also count while the machine sleeps, where the system has that. Asked for
each event of the agent: without a frame of Python."""


WATCHES_PIPES: Final = True
"""Whether an event loop can watch a pipe."""


def continue_stopped(pid: int) -> None:
    """Let a process go on that somebody has stopped (SIGSTOP); nothing for one that runs."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGCONT)


def reap(pid: int) -> tuple[int, Usage] | None:
    """Wait status and usage of a child that has ended; None when it still runs."""
    ended, status, used = os.wait4(pid, os.WNOHANG)
    if not ended:
        return None
    return status, Usage(used.ru_utime, used.ru_stime, used.ru_maxrss * _RSS_UNIT)


@lru_cache(maxsize=64)
def exit_status(status: int) -> ExitStatus:
    """What a wait status means; 128+N for signal N, as shells say it."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return ExitStatus(code, f"exited with code {code}", forced=False)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"  # real-time signals have no name of their own
    dumped = " (core dumped)" if os.WCOREDUMP(status) else ""
    return ExitStatus(128 - code, f"killed by {name}{dumped}", forced=True)


def is_signal(name: str) -> bool:
    """Whether a job can be interrupted by a signal of this name."""
    return name in signal.Signals.__members__


def interrupt(leader: int, name: str) -> str:
    """The polite signal, to the process group of `leader`; what was done, in words."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.Signals[name])
        os.killpg(leader, signal.SIGCONT)  # a stopped job could not obey
    return f"{name} to the process group"


def leave_running(leader: int) -> None:
    """What a job has left in the background outlives its shim: nothing here would end it."""


def split_shell(text: str) -> list[str]:
    """The words of a shell's command. ValueError when a quote is not closed."""
    return shlex.split(text)


def script_name(shell: Sequence[str], name: str) -> str:
    """The name for a script's file, so that its shell takes it for a script: any will do."""
    return name


def script_command(shell: Sequence[str], script: str) -> list[str]:
    """The command by which a shell runs a script's file."""
    return [*shell, script]


def reset_signals() -> None:
    """Signals of a shim, or of the launcher that shims are forked from: all at their defaults, none
    blocked, no SIGPIPE. No file that it has open reaches a job, and no umask."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # A job's own is in its order.
    os.umask(0o077)
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # that of the listing itself
            if (descriptor := int(name)) > _LAST_STREAM:
                os.set_inheritable(descriptor, False)


def stop_signals() -> list[int]:
    """Signals by which somebody stops the agent."""
    return [signal.SIGTERM, signal.SIGINT]


def ignored_signals() -> list[int]:
    """Signals that mean nothing to the agent, and must not end it."""
    return [signal.SIGUSR1, signal.SIGUSR2]


def unblock_signals() -> None:
    """Have no signal blocked, as whoever started this process may have left it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def reload_signals() -> list[int]:
    """Signals by which somebody has the agent read its configuration again."""
    return [signal.SIGHUP]


def host_facts() -> HostFacts:
    """What the host is. Not by the `platform` module: it takes ten milliseconds to import."""
    host = os.uname()
    return HostFacts(host.sysname, host.release, host.machine, host.nodename)


def sequenced_pair() -> tuple[socket.socket, socket.socket] | None:
    """Two joined sockets that keep messages whole and give each to one reader; None where the
    system has none (macOS): no launcher then."""
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError as error:
        if error.errno != EPROTONOSUPPORT:
            raise
        return None


def start_detached(
    command: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    inherited: Sequence[int] = (),
    descriptors: int | None = None,
    stdin: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one, with a session and a log of its own.

    `descriptors`: how many files it may open, when that is not as many as this one. `stdin` is
    its standard input; None: it is empty.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            env=dict(env),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=output,
            stderr=output,
            cwd="/",
            pass_fds=inherited,
            start_new_session=True,
        )
    if descriptors is not None:
        give_descriptors(process.pid, descriptors)
    return process


def has_ended(child: int) -> bool:
    """Whether a child of this process has ended; then it is waited for."""
    try:
        return os.waitpid(child, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


class ExitWatch:
    """A descriptor that becomes readable when a child may have exited."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._former = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        # A child that died before the handler was set has sent its signal to nobody.
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                os.write(self._write, b"!")

    def waitable(self) -> int:
        """What a `Poller` takes."""
        return self._read

    def reap(self) -> tuple[int, Usage] | None:
        """Wait status and usage of the child; None when it still runs."""
        os.read(self._read, 512)
        return reap(self._pid)

    def close(self) -> None:
        """Give the descriptor and the signal handler back."""
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGCHLD, self._former)
        os.close(self._read)
        os.close(self._write)
