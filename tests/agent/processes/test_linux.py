"""What Linux tells about processes, and how trees of them are killed."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes import linux
from tests.support.shim_harness import eventually, running

SLEEP = ["sleep", "60"]
FORK = "import os, time\nfor _ in range(3): os.fork()\nprint('up', flush=True)\ntime.sleep(60)"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEP, start_new_session=True) as process:
        yield process
        process.kill()


def test_boot() -> None:
    assert len(linux.boot_id()) == 36 and linux.boot_id() == linux.boot_id()


def test_a_process_is_known_by_pid_and_start(sleeper: subprocess.Popen[bytes]) -> None:
    started = linux.start_time(sleeper.pid)
    assert started is not None and linux.alive(sleeper.pid, started)
    assert not linux.alive(sleeper.pid, str(int(started) + 1))
    sleeper.kill()
    eventually(lambda: not running(sleeper.pid))
    assert not linux.alive(sleeper.pid, started), "a zombie is not alive"
    sleeper.wait()
    assert linux.start_time(sleeper.pid) is None and not linux.alive(sleeper.pid, started)


def test_the_start_of_a_child_is_known_without_asking_for_it() -> None:
    asked = 0
    for _ in range(50):
        tick = linux.clock_tick()
        child = subprocess.Popen(["/bin/sleep", "30"])
        now = linux.clock_tick()
        asked += now != tick
        assert linux.start_time_since(child.pid, tick) == linux.start_time(child.pid)
        assert linux.start_time_since(child.pid, now - 1) == linux.start_time(child.pid)
        child.kill()
        child.wait()
    assert asked < 50, "in one tick a child is started"


def test_names_with_brackets_and_spaces_do_not_confuse(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        eventually(lambda: b"(b)" in Path(f"/proc/{process.pid}/stat").read_bytes())
        started = linux.start_time(process.pid)
        assert started is not None and started.isdecimal() and linux.alive(process.pid, started)
        process.kill()


def test_descendants(sleeper: subprocess.Popen[bytes]) -> None:
    # Below a shell of its own: below this process there is also what other tests have left.
    with subprocess.Popen(["sh", "-c", "(sleep 60 & sleep 60; true) & sleep 60; true"]) as shell:
        eventually(lambda: len(linux.descendants(shell.pid)) == 4)
        below = linux.descendants(shell.pid)
        (inner,) = [pid for pid in linux.children(shell.pid) if linux.children(pid)]
        (other,) = set(linux.children(shell.pid)) - {inner}
        assert {shell.pid, sleeper.pid, *below} <= set(linux.descendants(os.getpid()))
        assert set(below) == {inner, other, *linux.children(inner)}
        assert below.index(inner) < min(map(below.index, linux.children(inner)))
        assert sorted(linux.children(shell.pid)) == sorted(linux._children_by_scan(shell.pid))
        assert linux.descendants(shell.pid, frozenset({inner})) == [other]
        for pid in below:
            os.kill(pid, signal.SIGKILL)
    assert linux.descendants(shell.pid) == []


def test_memory_of_a_tree() -> None:
    program = (
        "import os, time\nb = bytearray(50 << 20)\npid = os.fork()\n"
        "print('up', flush=True) if pid else None\ntime.sleep(60)"
    )
    with subprocess.Popen(
        ["sh", "-c", f"'{sys.executable}' -c \"{program}\"; true"], stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdout is not None and shell.stdout.readline() == b"up\n"
        eventually(lambda: len(linux.descendants(shell.pid)) == 2)
        quick, exact = linux.tree_memory(shell.pid), linux.tree_memory(shell.pid, exact=True)
        # Both have the same fifty megabytes: the quick sum counts them twice.
        assert quick > 100 << 20 and 50 << 20 < exact < 80 << 20
        for pid in linux.descendants(shell.pid):
            os.kill(pid, signal.SIGKILL)


def run(program: str) -> str:
    """Run a program that uses `linux` in a process, and a session, of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from remote_agent.processes import linux\n" + program],
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_subreaper_sweeps_everything() -> None:
    shown = run(
        "import os, subprocess, time\n"
        "assert linux.become_subreaper()\n"
        "text = 'trap \"\" TERM; setsid sleep 61 & sleep 62 & exit 0'\n"
        "p = subprocess.Popen(['sh', '-c', text])\n"
        "os.waitpid(p.pid, 0); p.returncode = 0\n"
        "swept = linux.sweep(p.pid)\n"
        "print(swept.killed, swept.survivors, linux.descendants(os.getpid()))\n"
        "print(linux.sweep(p.pid)[0])\n"
    )
    assert shown == "2 0 []\n0\n"


def test_a_sweep_that_comes_late_kills_all_the_same() -> None:
    shown = run(
        "import os, subprocess\n"
        "linux.become_subreaper()\n"
        "late = iter([0.0] + [1e9] * 100)\n"
        "linux.time = type('Late', (), {'monotonic': lambda: next(late), 'sleep': lambda s: "
        "os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)})\n"
        "subprocess.run(['sh', '-c', 'sleep 62 & exit 0'])\n"
        "print(linux.sweep(0)[0], linux.descendants(os.getpid()))\n"
        "late = iter([0.0] + [1e9] * 100)\n"
        "subprocess.run(['sh', '-c', 'sleep 63 & exit 0'])\n"
        "print(linux.kill_orphans(frozenset(), 'KEEP_ME'))\n"
    )
    assert shown == "1 []\n1\n"


def test_orphans_of_others_are_spared_and_kept_ones_too() -> None:
    shown = run(
        "import os, subprocess, signal, time\n"
        "linux.become_subreaper()\n"
        "shim = subprocess.Popen(['sh', '-c', 'sleep 61 & wait'])\n"
        "subprocess.run(['sh', '-c', 'sleep 62 & exec true'])\n"
        "subprocess.run(['sh', '-c', 'sleep 63 & exec true'], env={'KEEP_ME': '1', **os.environ})\n"
        "def second(pids):\n"
        "    return sorted(open(f'/proc/{p}/cmdline').read().partition(chr(0))[2].split(chr(0))[0]"
        " for p in pids)\n"
        # A child that the shell has forked is a shell until it becomes its sleep.
        "while second(linux.descendants(os.getpid())) != ['-c', '61', '62', '63']:\n"
        "    time.sleep(.01)\n"
        "print(linux.kill_orphans(frozenset({shim.pid}), 'KEEP_ME'))\n"
        "left = linux._running(linux.descendants(os.getpid()))\n"
        "print(second(left))\n"
        "for pid in left: os.kill(pid, 9)\n"
        "shim.wait()\n"
    )
    assert shown == "1\n['-c', '61', '63']\n"


def test_what_a_dead_shim_left_is_known_by_its_environment() -> None:
    marks = {"REMOTE_JOB_ID": f"J{os.getpid()}", "REMOTE_ATTEMPT": "1"}
    # One in the session has cleaned its environment; another attempt of the job must live.
    with (
        subprocess.Popen(
            ["sh", "-c", "setsid sleep 60 & env -i sleep 60 & sleep 60; true"],
            env={**os.environ, **marks},
            start_new_session=True,
        ) as job,
        subprocess.Popen(
            SLEEP, env={**os.environ, **marks, "REMOTE_ATTEMPT": "2"}, start_new_session=True
        ) as other,
    ):
        eventually(lambda: len(linux.descendants(job.pid)) == 3)
        below = linux.descendants(job.pid)
        assert linux.kill_marked(marks, job.pid) == 4
        eventually(lambda: not any(running(pid) for pid in [job.pid, *below]))
        assert running(other.pid)
        assert linux.kill_marked(marks, job.pid) == 0
        assert linux.kill_marked({"REMOTE_JOB_ID": "none"}, other.pid) == 0
        assert running(other.pid), "a session's number alone proves nothing"
        other.kill()


def test_the_kernel_ends_a_child_whose_parent_died() -> None:
    program = (
        "import os, subprocess\n"
        "p = subprocess.Popen(['sleep', '60'], preexec_fn=lambda pid=os.getpid(): "
        "linux.die_with_parent(pid))\n"
        "print(p.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from remote_agent.processes import linux\n" + program],
        capture_output=True,
        check=False,
    )
    pid = int(done.stdout)
    eventually(lambda: not running(pid))


def test_exit_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(["sh", "-c", "read x; exit 3"], stdin=subprocess.PIPE)
    watch = linux.watch_exit(process.pid)
    assert isinstance(watch, linux.PidWatch)

    assert select.select([watch.waitable()], [], [], 0)[0] == [] and watch.reap() is None
    assert process.stdin is not None
    process.stdin.close()
    assert select.select([watch.waitable()], [], [], 60)[0] == [watch.waitable()]
    reaped = watch.reap()
    assert reaped is not None and os.waitstatus_to_exitcode(reaped[0]) == 3
    assert reaped[1].max_rss > 0
    watch.close()
    process.returncode = 3

    def missing(pid: int) -> int:
        raise OSError(errno.ENOSYS, "no pidfds before Linux 5.3")

    monkeypatch.setattr(os, "pidfd_open", missing)
    older = linux.watch_exit(os.getpid())
    assert not isinstance(older, linux.PidWatch)
    older.close()
