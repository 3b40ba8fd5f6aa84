"""The parent of one job that was forked from a warm interpreter, and what that job becomes.

A part of the interpreter's program (`interpreter.py`), which a copy of this file lies beside: for
any Python from 3.8 on, with the standard library only.

A shim sends one message with open files: the request (JSON in a file in memory), the job's
standard input, output and error, and perhaps the writing end of the input, which the keeper holds
so that the shim's death is no end of the input. The keeper answers with the job's process, which
waits for `go`; then come `input` (that end is closed) and, after the keeper has told the wait
status, `done` (reap what is left, account for it, exit). Until `go` nothing of the job has run.
"""

from __future__ import annotations

import builtins
import ctypes
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
import types
from contextlib import suppress
from typing import Any, NoReturn

MARK = "REMOTE_INTERPRETER"
"""Variable whose value tells the processes of one warm interpreter from all others."""
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
_PR_SET_PDEATHSIG = 1
_LARGEST = 4096
_FILES = 5
_ASKED_WITHIN = 10.0
"""Seconds within which a shim says what it wants, and that it may run."""
_KILLED_WITHIN = 5.0
_ROUND = 0.002


class Job:
    """What a forked process is about to become."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def run(self) -> None:
        """Run it as `python -u WORDS` would, in a module `__main__` of its own. SystemExit."""
        main = types.ModuleType("__main__")
        main.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = main
        try:
            if self.words[0] == "-m":
                sys.argv[:] = self.words[1:]
                sys.path.insert(0, os.getcwd())
                runpy._run_module_as_main(self.words[1])  # type: ignore[attr-defined]
            else:
                sys.argv[:] = self.words
                sys.path.insert(0, os.path.dirname(os.path.realpath(self.words[0])))
                run_file(self.words[0], main)
        except Exception as error:
            trace = error.__traceback__
            while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
                trace = trace.tb_next
            sys.excepthook(type(error), error.with_traceback(trace), trace)
            sys.exit(1)


def run_file(path: str, main: types.ModuleType) -> None:
    """Run a script in the module `main`."""
    main.__file__ = path
    main.__dict__["__cached__"] = None
    with io.open_code(path) as file:
        source = file.read()
    exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)


class Keeper:
    """The parent of one job. `opened` stay open in it, `former` is its handler of SIGCHLD."""

    def __init__(self, caller: socket.socket, opened: set[int], former: Any) -> None:
        self._caller, self._opened, self._former = caller, opened, former
        self._job = 0
        self._go: Any = None
        self._input: int | None = None
        self._told = False

    def keep(self) -> Job:
        """Keep one job until its shim has done with it; returns in the job's process only."""
        os.setsid()
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._caller.settimeout(_ASKED_WITHIN)
        request, files = self._receive()
        ready, begun = os.pipe()
        waits, self._go = os.pipe()
        wake, _ = watch_children()
        me = os.getpid()
        self._job = os.fork()
        if not self._job:
            return self._become(request, files, me, begun, waits)
        self._input = files[3] if len(files) > 3 else None
        for file in (*files[:3], begun, waits):
            os.close(file)
        failure = read_all(ready)
        os.close(ready)
        if failure != b"ok":
            self._say({"failed": failure.decode(errors="replace") or "it died at once"})
            os._exit(0)
        self._say({"pid": self._job, "keeper": me, "mark": os.environ.get(MARK, "")})
        self._serve(wake)

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        room = socket.CMSG_SPACE(_FILES * 4)
        data, ancillary, _, _ = self._caller.recvmsg(_LARGEST, room, socket.MSG_CMSG_CLOEXEC)
        if not data or not ancillary:
            os._exit(0)  # somebody who only looked whether this process is there
        given = ancillary[0][2]
        files = [
            int.from_bytes(given[at : at + 4], sys.byteorder) for at in range(0, len(given), 4)
        ]
        request = json.loads(read_all(files[0]))
        os.close(files[0])
        return request, files[1:]

    def _say(self, body: dict[str, Any]) -> None:
        with suppress(OSError):
            self._caller.send(json.dumps(body).encode())

    def _serve(self, wake: int) -> NoReturn:
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(self._caller.fileno(), select.POLLIN)
        deadline = time.monotonic() + _ASKED_WITHIN
        while True:
            limit = None if self._go is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = poll.poll(limit)
            if not ready:
                self._give_up()
            for source, _ in ready:
                if source == wake:
                    drain(wake)
                    self._tell_end()
                else:
                    self._obey()

    def _tell_end(self) -> None:
        """Say how the job has ended. It is reaped later: until then nobody has its number."""
        if self._told:
            return
        ended = os.waitid(os.P_PID, self._job, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return
        self._told = True
        status = ended.si_status
        if ended.si_code == os.CLD_EXITED:
            status <<= 8
        elif ended.si_code == os.CLD_DUMPED:
            status |= 0x80
        self._say({"status": status})

    def _obey(self) -> None:
        try:
            said = self._caller.recv(_LARGEST)
        except OSError:
            said = b""
        if said == b"go" and self._go is not None:
            os.write(self._go, b"!")
            os.close(self._go)
            self._go = None
        elif said == b"input":
            if self._input is not None:
                os.close(self._input)
                self._input = None
        elif said == b"done":
            self._account()
        elif not said:
            self._give_up()

    def _account(self) -> NoReturn:
        user = system = 0.0
        most = 0
        with suppress(ChildProcessError):
            while True:
                pid, _, used = os.wait4(-1, os.WNOHANG)
                if not pid:
                    break
                user, system = user + used.ru_utime, system + used.ru_stime
                most = max(most, used.ru_maxrss * 1024)
        self._say({"cpu_user": user, "cpu_system": system, "max_rss": most})
        os._exit(0)

    def _give_up(self) -> NoReturn:
        """The shim is gone: its job must not outlive it."""
        os._exit(0 if kill_below(os.getpid(), frozenset()) else 1)

    def _become(
        self, request: dict[str, Any], files: list[int], keeper: int, begun: int, waits: int
    ) -> Job:
        """Be the job's process; wait until it may run."""
        try:
            try:
                self._set_up(request, files, keeper, begun, waits)
            except OSError as error:
                where = f"the working directory {request['cwd']!r} cannot be entered: "
                os.write(begun, f"{where}{error.strerror}".encode())
                os._exit(126)
            os.write(begun, b"ok")
            os.close(begun)
            if not os.read(waits, 1):
                os._exit(126)
            os.close(waits)
        except BaseException as error:
            with suppress(OSError):
                os.write(begun, f"it cannot be forked: {error}".encode())
            os._exit(126)
        return Job(request["words"])

    def _set_up(
        self, request: dict[str, Any], files: list[int], keeper: int, begun: int, waits: int
    ) -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(126)
        prctl(PR_SET_DUMPABLE, 1)
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, self._former)
        for target, file in enumerate(files[:3]):
            os.dup2(file, target)
        kept = {0, 1, 2, begun, waits} | self._opened
        for file in open_files() - kept:
            with suppress(OSError):
                os.close(file)
        self._caller.detach()
        place = os.environ.get("VIRTUAL_ENV") if request.get("enter") else None
        os.environ.clear()
        os.environ.update(request["env"])
        if place:
            programs = os.path.join(place, "bin")
            path = os.environ.get("PATH", os.defpath)
            os.environ.update(VIRTUAL_ENV=place, PATH=programs + os.pathsep + path)
        os.umask(request["umask"])
        time.tzset()
        forget_state()
        os.chdir(request["cwd"])


def forget_state() -> None:
    """Have this process differ from its brothers where modules would not see to it themselves."""
    temporary = sys.modules.get("tempfile")
    if temporary is not None:
        temporary.tempdir = None  # type: ignore[attr-defined]
    numbers = sys.modules.get("numpy.random")
    if numbers is not None:
        numbers.seed()


def watch_children() -> tuple[int, Any]:
    """A descriptor that becomes readable when a child ends, and the former handler."""
    wake, woken = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    former = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    return wake, former


def drain(wake: int) -> None:
    """Take what has come."""
    with suppress(BlockingIOError):
        while os.read(wake, 1024):
            pass


def read_all(file: int) -> bytes:
    """All bytes up to the end."""
    parts: list[bytes] = []
    while True:
        part = os.read(file, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def open_files() -> set[int]:
    """Descriptors of this process."""
    found = set(map(int, os.listdir("/proc/self/fd")))
    return {file for file in found if os.path.lexists(f"/proc/self/fd/{file}")}


def below(root: int, spare: Any) -> list[int]:
    """What runs below `root`, parents first, without `spare` and what is below those."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X"):
            found.setdefault(int(fields[1]), []).append(int(name))
    tree, queue = [], [root]
    while queue:
        children = [pid for pid in found.get(queue.pop(), ()) if pid not in spare]
        tree += children
        queue += children
    return tree


def kill_below(root: int, spare: Any) -> bool:
    """Kill what runs below `root`; whether nothing does any more. What is stopped first cannot
    fork while the rest is looked for."""
    deadline = time.monotonic() + _KILLED_WITHIN
    while True:
        known: set[int] = set()
        for _ in range(50):
            fresh = set(below(root, spare)) - known
            if not fresh:
                break
            send(fresh, signal.SIGSTOP)
            known |= fresh
        if not known:
            return True
        if time.monotonic() > deadline:
            return False
        send(known, signal.SIGKILL)
        time.sleep(_ROUND)


def send(pids: set[int], number: int) -> None:
    """Send a signal to each of them."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def prctl(option: int, value: int) -> None:
    """One call of prctl(2). OSError."""
    if ctypes.CDLL(None).prctl(option, value, 0, 0, 0):
        raise OSError(f"prctl({option}) was refused")
