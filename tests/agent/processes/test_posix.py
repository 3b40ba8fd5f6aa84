"""Starting programs, watching them, and the words for how they ended."""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_agent.processes import posix
from remote_agent.processes.posix import spawn
from remote_agent.processes.types import SpawnFailed
from tests.support.shim_harness import eventually, running

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_spawn(pipe: tuple[int, int], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for before in (None, mark.touch):
        pid = spawn(["sh", "-c", "pwd; exit 5"], ENV, str(tmp_path), (pipe[1], pipe[1]), before)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
        assert os.read(pipe[0], 4096) == f"{tmp_path}\n".encode()
        assert mark.exists() == (before is not None)


@pytest.mark.parametrize("before", [None, lambda: None])
def test_a_job_has_what_its_order_says_and_nothing_of_its_shim(
    pipe: tuple[int, int], tmp_path: Path, before: Callable[[], None] | None
) -> None:
    former, here = os.umask(0o077), os.getcwd()
    script = "umask; pwd; cat; grep ^SigIgn /proc/self/status; env | grep -c ^"
    stdin = os.open(tmp_path / "input", os.O_RDWR | os.O_CREAT)
    os.write(stdin, b"given\n")
    os.lseek(stdin, 0, os.SEEK_SET)
    try:
        for given, text in ((stdin, "given\n"), (None, "")):
            pid = spawn(
                ["sh", "-c", script],
                {**ENV, "X": "ä"},
                str(tmp_path),
                (pipe[1], pipe[1]),
                before,
                stdin=given,
                umask=0o027,
            )
            os.waitpid(pid, 0)
            out = os.read(pipe[0], 4096).decode()
            assert out.startswith(f"0027\n{tmp_path}\n{text}SigIgn:\t"), out
            # Those that the C library keeps for itself may be ignored (posix_spawn(3) of glibc).
            assert not int(out.split()[-2], 16) & ~(0b11 << 31), out
        assert os.getcwd() == here and os.umask(0o077) == 0o077
    finally:
        os.umask(former)
        os.close(stdin)


def test_a_job_ignores_no_signal_that_its_shim_ignores(
    pipe: tuple[int, int], tmp_path: Path
) -> None:
    former = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        program = ["grep", "^SigIgn", "/proc/self/status"]
        os.waitpid(spawn(program, ENV, str(tmp_path), (pipe[1], pipe[1])), 0)
    finally:
        signal.signal(signal.SIGUSR2, former)
    ignored = int(os.read(pipe[0], 4096).split()[1], 16)
    assert not ignored & 1 << signal.SIGUSR2 - 1


def test_a_job_that_closes_the_place_of_its_shim_is_started_once(
    pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    script = f"chmod 000 {place}; echo once"

    def spawn_slowly(*arguments: Any, **options: Any) -> int:
        pid = os_spawn(*arguments, **options)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return pid

    def enter(descriptor: int) -> None:
        if not stat.S_IMODE(os.fstat(descriptor).st_mode):
            raise PermissionError  # root would be let in
        os_fchdir(descriptor)

    os_spawn, os_fchdir = os.posix_spawn, os.fchdir
    monkeypatch.setattr(os, "fchdir", enter)
    monkeypatch.setattr(os, "posix_spawn", spawn_slowly)
    os.waitpid(spawn(["sh", "-c", script], ENV, "/", (pipe[1], pipe[1])), 0)
    assert os.read(pipe[0], 4096) == b"once\n"
    assert os.path.samefile(".", place)
    place.chmod(0o700)


def test_a_started_job_is_not_started_again_when_the_shim_cannot_go_back(
    monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int]
) -> None:
    def enter(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    here, started = Path.cwd(), []
    os_spawn = os.posix_spawn

    def spawn_noted(*arguments: Any, **options: Any) -> int:
        started.append(os_spawn(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(os, "posix_spawn", spawn_noted)
    with monkeypatch.context() as broken, pytest.raises(RuntimeError, match="Input/output error"):
        broken.setattr(os, "fchdir", enter)
        spawn(["echo", "once"], ENV, "/", (pipe[1], pipe[1]))
    os.chdir(here)
    os.waitpid(started.pop(), 0)
    assert not started and os.read(pipe[0], 4096) == b"once\n"


def test_no_file_of_a_shim_reaches_its_jobs() -> None:
    script = (
        "import os; from remote_agent.processes.posix import reset_signals, spawn\n"
        "given = os.open('/', os.O_RDONLY); os.set_inheritable(given, True); reset_signals()\n"
        "os.waitpid(spawn(['ls', '/proc/self/fd'], dict(os.environ), '/', (1, 2)), 0)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert out.split() == [b"0", b"1", b"2", b"3"], "and the listing itself"


def test_a_child_that_has_ended_is_waited_for_once() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert not posix.has_ended(child.pid)
    child.communicate()
    assert posix.has_ended(child.pid), "whoever has waited"
    child = subprocess.Popen(["true"])
    eventually(lambda: posix.has_ended(child.pid))
    assert child.poll() == 0, "nobody else can"


def test_the_program_is_looked_up_in_the_jobs_path(pipe: tuple[int, int], tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "tool"
        program.write_text(f"#!/bin/sh\necho {folder}\n")
        program.chmod(0o700)
    (tmp_path / "a" / "tool").chmod(0o600)
    env = {"PATH": f"{tmp_path}/a:{tmp_path}/b"}
    os.waitpid(spawn(["tool"], env, "/", (pipe[1], pipe[1])), 0)
    assert os.read(pipe[0], 4096) == b"b\n"


def test_failures_are_sentences_with_the_shells_codes(
    pipe: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "long").mkdir()
    cases = {
        ("absent",): (127, "program 'absent' not found; it is in no directory of the job's PATH"),
        ("./absent",): (127, "program './absent' not found"),
        ("./plain",): (126, "is not executable"),
        ("./long",): (126, "is not executable"),
        ("./plain/x",): (127, "not found"),
        ("echo", "x" * 3_000_000): (126, "Argument list too long"),
        ("nul\0",): (126, "null byte"),
    }
    for argv, (code, text) in cases.items():
        with pytest.raises(SpawnFailed, match=text) as failure:
            spawn(argv, ENV, str(tmp_path), (pipe[1], pipe[1]))
        assert failure.value.exit_code == code, argv
    with pytest.raises(SpawnFailed, match=r"working directory '/absent' cannot be entered"):
        spawn(["true"], ENV, "/absent", (pipe[1], pipe[1]))


def test_boottime_only_grows() -> None:
    first = posix.boottime()
    assert posix.boottime() >= first > 0
    assert posix.boottime() - time.monotonic() >= -1


def test_what_was_stopped_is_continued() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as process:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        posix.continue_stopped(process.pid)
        process.communicate(timeout=10)
    assert process.returncode == 0
    posix.continue_stopped(process.pid)


@pytest.mark.parametrize("early", [True, False])
def test_exit_watch_without_pidfds(early: bool) -> None:
    process = subprocess.Popen(["sh", "-c", "read x; exit 3"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    former = signal.getsignal(signal.SIGCHLD)
    if early:
        process.stdin.close()
        eventually(lambda: not running(process.pid))
    watch = posix.ExitWatch(process.pid)
    if not early:
        assert select.select([watch.waitable()], [], [], 0)[0] == []
        process.stdin.close()
    assert select.select([watch.waitable()], [], [], 10)[0] == [watch.waitable()]
    reaped = watch.reap()
    assert reaped is not None and os.waitstatus_to_exitcode(reaped[0]) == 3
    watch.close()
    process.returncode = 3
    assert signal.getsignal(signal.SIGCHLD) == former


def test_how_a_process_ended() -> None:
    assert posix.exit_status(3 << 8)[:3] == (3, "exited with code 3", False)
    assert posix.exit_status(9)[:3] == (137, "killed by SIGKILL", True)
    assert posix.exit_status(11 | 0x80)[:3] == (139, "killed by SIGSEGV (core dumped)", True)
    assert posix.exit_status(40)[:3] == (168, "killed by signal 40", True)
    assert posix.is_signal("SIGUSR1") and not posix.is_signal("SIGNONE")
