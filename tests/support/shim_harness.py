"""A small agent for tests of shims: a state directory, a launcher, attempts with their records."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote_agent.processes.linux import children
from remote_agent.shim import layout
from remote_agent.shim.launcher_client import LauncherClient, tell
from remote_agent.shim.order import Order
from remote_agent.spool import SpoolReader
from remote_protocol import cri

ENV = {"PATH": os.environ["PATH"], "HOME": "/", "LANG": "C.UTF-8"}


LIMIT = 60.0
"""Seconds after which a wait is given up: longer than the slowest machine takes."""


def eventually(condition: Callable[[], Any], limit: float = LIMIT, what: str = "") -> Any:
    """Wait until `condition` is true and return what it gave; AssertionError after `limit`."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {limit} s in vain {what}"
        time.sleep(0.005)


def running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    return state(pid) not in "ZX"


def state(pid: int) -> str:
    """A process's state: R, S, T, Z and so on (proc(5)); X when it has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "X"
    return stat.rpartition(")")[2].split()[0]


def in_pipe(job: int) -> int:
    """How many bytes of its standard output a job's shim has not read yet."""
    pipe = os.open(f"/proc/{job}/fd/1", os.O_RDONLY | os.O_NONBLOCK)
    try:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
    finally:
        os.close(pipe)


def gone(pid: int, limit: float = LIMIT) -> None:
    """Wait until a process has ended."""
    eventually(lambda: not running(pid), limit, f"for process {pid} to end")


class ShimHarness:
    """A state directory with its launcher; `start` hands an attempt to a shim."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "attempts").mkdir(parents=True)
        self.shims = LauncherClient(root / "shim.log")
        self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notifications.bind(str(root / "agent.sock"))
        self.notifications.settimeout(LIMIT)
        self._count = 0

    def make(self, argv: list[str], **fields: Any) -> Path:
        """A new attempt's directory, ready to start."""
        self._count += 1
        key = f"J{self._count}.1"
        directory = self.root / "attempts" / key
        (directory / "work").mkdir(parents=True)
        known = {"key": key, "argv": argv, "env": ENV, "cwd": str(directory / "work")}
        order = Order(**{"sync": False, **known, **fields})
        (directory / layout.ORDER).write_bytes(order.line() + b"{}\n")
        return directory

    def start(self, argv: list[str], **fields: Any) -> Path:
        """Make an attempt and ask a shim to run it."""
        directory = self.make(argv, **fields)
        self.shims.request(directory)
        return directory

    def run(self, argv: list[str], limit: float = LIMIT, **fields: Any) -> Run:
        """Start an attempt and wait for its end."""
        directory = self.start(argv, **fields)
        run = Run(directory, self.ended(directory, limit))
        # A full queue of notifications would make every shim wait a little for its agent.
        self.notifications.settimeout(0)
        with suppress(BlockingIOError):
            while self.notifications.recv(4096):
                pass
        self.notifications.settimeout(LIMIT)
        return run

    def keeper(self) -> int:
        """The pid of the shim that runs one more attempt, as its job says."""
        return int(self.run(["sh", "-c", "echo $PPID"]).stdout)

    def ended(self, directory: Path, limit: float = LIMIT) -> dict[str, Any]:
        """Wait for an exit record."""
        path = directory / layout.EXIT
        eventually(path.exists, limit, f"for {path}: {self.log()}")
        return json.loads(path.read_text())

    def started(self, directory: Path) -> dict[str, Any]:
        """Wait until an attempt's job has been spawned; what the shim noted about it."""
        path = directory / layout.STARTED

        def note() -> Any:
            return path.exists() and path.stat().st_size and json.loads(path.read_text())

        return eventually(note, what=f"for {path}: {self.log()}")

    def log(self) -> str:
        """What the shims reported."""
        path = self.root / "shim.log"
        return path.read_text() if path.exists() else ""

    def workers(self) -> list[int]:
        """The pids of the shims."""
        return children(self.shims.pid) if self.shims.pid else []

    def close(self) -> None:
        """End the launcher and wait for it and its shims."""
        pid = self.shims.pid
        workers = self.workers()
        self.shims.close()
        self.notifications.close()
        stuck = []
        for process in [*workers, *([pid] if pid else [])]:
            try:
                gone(process, 30.0)
            except AssertionError:
                stuck.append(process)
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    os.kill(process, signal.SIGKILL)
        assert not stuck, f"shims or launcher did not end by themselves: {stuck} {self.log()}"


class Run:
    """An attempt that has ended: its record and its log."""

    def __init__(self, directory: Path, record: dict[str, Any]) -> None:
        self.directory = directory
        self.record = record
        self.code = record["exit_code"]
        self.reason = record["end_reason"]
        self.detail = record["end_detail"]
        self.steps = [step["what"] for step in record["steps"]]

    @property
    def log(self) -> bytes:
        """The whole log as it lies in the spool."""
        return read_log(self.directory)

    @property
    def stdout(self) -> bytes:
        """The job's own bytes on its standard output."""
        return cri.decode(self.log, cri.STDOUT)

    @property
    def stderr(self) -> bytes:
        """The job's own bytes on its standard error."""
        return cri.decode(self.log, cri.STDERR)


class Gate:
    """What holds jobs until a test lets them go: `wait` is the shell command that waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        os.mkfifo(path)
        # For reading, too: then this end opens at once, and what is written waits for the jobs.
        self._end = os.open(path, os.O_RDWR)
        self.wait = f"read go < {path}"

    def open(self, jobs: int = 1) -> None:
        """Let so many jobs go on, those that have not come yet as well."""
        os.write(self._end, b"\n" * jobs)

    def close(self) -> None:
        """Close this side."""
        os.close(self._end)


def open_files(pid: int) -> list[str]:
    """What a process has open."""
    names = []
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            names.append(os.readlink(f"/proc/{pid}/fd/{entry}"))
    return names


def read_log(directory: Path) -> bytes:
    """Everything in an attempt's spool that was not dropped."""
    reader, view, parts = SpoolReader(directory), memoryview(bytearray(1 << 20)), []
    segments = reader.segments()
    offset = segments[0].start if segments else 0
    try:
        while count := reader.read_into(view, offset):
            parts.append(bytes(view[:count]))
            offset += count
    finally:
        reader.close()
    return b"".join(parts)


__all__ = [
    "ENV",
    "Gate",
    "Run",
    "ShimHarness",
    "eventually",
    "gone",
    "in_pipe",
    "open_files",
    "read_log",
    "running",
    "state",
    "tell",
]
