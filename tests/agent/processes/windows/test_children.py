"""Real jobs, started, interrupted and killed."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes
import os
import time
from pathlib import Path

import pytest

from remote_agent.processes.types import SpawnFailed
from remote_agent.processes.windows import children, system
from remote_agent.processes.windows.polling import Poller, close_end


class Run:
    """One job with its pipes; `output` after its end."""

    def __init__(self, code: str, cwd: Path, **env: str) -> None:
        self.waiter = Poller()
        self.out, out_end = self.waiter.pipe()
        self.err, err_end = self.waiter.pipe()
        argv = [sys.executable, "-c", code]
        try:
            self.pid = children.spawn(argv, {**os.environ, **env}, str(cwd), (out_end, err_end))
        finally:
            close_end(out_end)
            close_end(err_end)
        self.watch = children.watch_exit(self.pid)
        self.output = {self.out: b"", self.err: b""}

    def until(self, text: bytes) -> None:
        """Read until the job has printed this."""
        self.waiter.add(self.out)
        while text not in self.output[self.out]:
            assert self.waiter.wait(30_000), self.output
            data = self.waiter.read(self.out, 1 << 18)
            assert data, self.output
            self.output[self.out] += data
        self.waiter.drop(self.out)

    def end(self) -> int:
        """Read everything and wait for the exit; the exit code."""
        exited, reaped, pipes = self.watch.waitable(), None, {self.out, self.err}
        for source in (*pipes, exited):
            self.waiter.add(source)
        while pipes or reaped is None:
            ready = self.waiter.wait(60_000)
            assert ready, "nothing happens"
            for source in ready:
                if source == exited:
                    reaped = self.watch.reap()
                    self.waiter.drop(exited)
                    continue
                data = self.waiter.read(source, 1 << 18)
                self.output[source] += data
                if not data:
                    pipes.discard(source)
                    self.waiter.drop(source)
                    self.waiter.close(source)
        self.watch.close()
        self.usage = reaped[1]
        return reaped[0]


def test_a_job_runs_to_its_end(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.stdout.buffer.write(os.getcwd().encode() + bytes(range(256))); "
        "sys.stderr.write(os.environ['X'] + sys.stdin.read()); sys.exit(3)"
    )
    run = Run(code, tmp_path, X="hello")
    assert run.watch.reap() is None
    assert run.end() == 3
    assert run.output[run.out] == str(tmp_path).encode() + bytes(range(256))
    assert run.output[run.err] == b"hello" and run.usage.cpu_user >= 0
    assert children.sweep(run.pid)[0] == 0
    assert children.sweep(run.pid) == (0, 0.0, 0.0, 0), "twice is once"


POLITE = """
import os, sys
sys.path[:0] = sys.argv[3:]
from remote_agent.processes.windows import children, system
from remote_agent.processes.windows.polling import Poller, close_end
job = (
    "import ctypes, os, time; kind = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint); "
    "handler = kind(lambda what: os._exit(9 + what)); "
    "ctypes.windll.kernel32.SetConsoleCtrlHandler(handler, 1); print('up', flush=True); "
    "time.sleep(600)"
)
waiter = Poller()
pipe, end = waiter.pipe()
argv, name = [sys.executable, "-c", job], sys.argv.pop(2)
system.reset_signals()
pid = children.spawn(argv, dict(os.environ), sys.argv[1], (end, end), None, name)
close_end(end)
waiter.add(pipe)
waiter.wait(None)
watch = children.watch_exit(pid)
waiter.add(watch.waitable())
print(children.interrupt(pid, name), flush=True)
while (ended := watch.reap()) is None:
    for source in waiter.wait(None):
        if source == pipe and not waiter.read(pipe, 9999):
            waiter.drop(pipe)
print(ended[0])
"""


def in_wine() -> bool:
    """Whether this is Wine, which ends what gets Ctrl-Break and asks no handler."""
    return hasattr(ctypes.windll.ntdll, "wine_get_version")


@pytest.mark.parametrize("name, words", [("SIGINT", "CTRL_C"), ("SIGTERM", "CTRL_BREAK")])
def test_the_polite_signal(tmp_path: Path, name: str, words: str) -> None:
    # Only a process with a console can send it, and only a shim is sure to have one.
    log, paths = tmp_path / "log", [path for path in sys.path if path]
    command = [sys.executable, "-c", POLITE, str(tmp_path), name, *paths]
    process = system.start_detached(command, dict(os.environ), log)
    assert process.wait(60) == 0, log.read_text()
    said = log.read_text().split("\n")
    assert said[0] == f"{words} to the job's processes"
    if name == "SIGTERM" and in_wine():
        # One of Wine's threads ends with 0, and the process with it or by a kill, whichever comes
        # first. That it ended at all, in a sleep of 600 s, is the signal's work.
        assert said[1] in ("0", "1")
    else:
        assert said[1] == {"SIGINT": "9", "SIGTERM": "10"}[name]


def test_a_kill_takes_the_whole_tree(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(600)']); print(c.pid, flush=True); time.sleep(600)"
    )
    run = Run(code, tmp_path)
    run.until(b"\n")
    child = int(run.output[run.out])
    started = system.start_time(child)
    assert started and children.tree_memory(os.getpid()) > 1_000_000
    assert children.interrupt(run.pid, "SIGKILL") == "killed the whole process tree"
    assert run.end() == 137
    assert children.sweep(run.pid).survivors == 0
    assert not system.alive(child, started)


def test_what_is_left_is_swept_or_let_live(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(600)'], stdout=-3, stderr=-3); print(c.pid)"
    )
    left = []
    for _ in range(2):
        run = Run(code, tmp_path)
        assert run.end() == 0
        child = int(run.output[run.out])
        started = system.start_time(child)
        assert started and system.alive(child, started)
        left.append((run.pid, child, started))
    assert children.sweep(left[0][0]).killed == 1 and not system.alive(*left[0][1:])
    children.leave_running(left[1][0])
    time.sleep(0.2)
    assert system.alive(*left[1][1:])
    os.kill(left[1][1], 9)


def test_what_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "text.exe").write_text("this is no program")
    for argv, code in ((["nowhere"], 127), ([str(tmp_path / "text.exe")], 126)):
        with pytest.raises(SpawnFailed) as failed:
            children.spawn(argv, dict(os.environ), str(tmp_path), (0, 0))
        assert failed.value.exit_code == code


def test_how_a_process_ended() -> None:
    assert children.exit_status(7)[:3] == (7, "exited with code 7", False)
    assert children.exit_status(1000)[:3] == (1000, "exited with code 1000", False)
    assert children.exit_status(0xC0000005)[:3] == (139, "access violation (0xC0000005)", True)
    assert children.exit_status(-1073741819 & 0xFFFFFFFF)[0] == 139
    assert children.exit_status(0xFFFFFFFF)[:3] == (-1, "exited with code 0xFFFFFFFF", False)
    assert children.is_signal("SIGTERM") and not children.is_signal("SIGNONE")
