"""The keeper of a forked job: what it promises to shims."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from remote_agent.planning import keeper
from tests.support.interpreters import Asked, Program, running
from tests.support.shim_harness import eventually, gone


def test_nothing_runs_until_it_may(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        job = Asked(program, f"open({str(tmp_path / 'ran')!r}, 'w')")
        pid = job.hear()["pid"]
        job.close()
        gone(pid)
        assert not (tmp_path / "ran").exists()
        job.output.close()


def test_a_job_has_what_its_request_says(tmp_path: Path) -> None:
    script = "import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), sys.argv]))"
    with running(tmp_path) as program:
        _, out = Asked(program, script, cwd=str(tmp_path)).run()
    env, cwd, argv = json.loads(out)
    assert (env, cwd) == ({"A": "b"}, str(tmp_path))
    assert len(argv) == 1 and argv[0].startswith(f"{tmp_path}/script")


def test_a_folder_that_cannot_be_entered_is_named(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        job = Asked(program, "", cwd="/no/such")
        assert job.hear()["failed"].startswith("the working directory '/no/such' cannot be entered")
        job.close()
        job.output.close()


def test_ends_are_wait_statuses(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        for script, status in (
            ("raise SystemExit(3)", 3 << 8),
            ("import os; os.kill(os.getpid(), 15)", 15),
            ("import os, resource; resource.setrlimit(4, (0, 0)); os.abort()", 6),
        ):
            assert Asked(program, script).run()[0] & ~0x80 == status


def test_a_caller_that_hangs_up_ends_the_whole_tree(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, time\n"
        "one = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "two = os.fork() or os.setsid() or time.sleep(600)\n"
        "print(os.getpid(), one.pid, two, flush=True)\ntime.sleep(600)\n"
    )
    with running(tmp_path) as program:
        job = Asked(program, script)
        job.hear()
        job.peer.send(b"go")
        pids = list(map(int, job.output.readline().split()))
        job.close()
        for pid in pids:
            gone(pid)
        job.output.close()


def test_what_a_killed_keeper_leaves_is_killed_by_the_interpreter(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, time\n"
        "one = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(os.getpid(), one.pid, flush=True)\ntime.sleep(600)\n"
    )
    with running(tmp_path) as program:
        kept, job = Asked(program, "print(1)"), Asked(program, script)
        said = job.hear()
        job.peer.send(b"go")
        pids = list(map(int, job.output.readline().split()))
        os.kill(said["keeper"], signal.SIGKILL)
        for pid in pids:
            gone(pid)
        assert job.hear() == {}
        job.close()
        job.output.close()
        assert kept.run() == (0, b"1\n"), "another job goes on"


def test_what_is_below_a_process_is_killed_but_for_some(tmp_path: Path) -> None:
    script = "import os, time\nfor _ in '12': os.fork() or time.sleep(600)\ntime.sleep(600)\n"
    with running(tmp_path) as program:
        job = Asked(program, script)
        said = job.hear()
        job.peer.send(b"go")
        children = eventually(lambda: (c := keeper.below(said["pid"], ())) and len(c) == 2 and c)
        assert keeper.kill_below(said["pid"], {children[0]})
        gone(children[1])
        os.kill(children[0], 0)
        job.close()
        gone(children[0])
        job.output.close()


def test_a_job_moves_no_other_jobs_place_in_a_file_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"0123456789")
    (tmp_path / "opens.py").write_text(
        f"import os, tempfile\nfile = open({str(tmp_path / 'data')!r}, 'r+b', buffering=0)\n"
        "file.read(2)\ngone = tempfile.TemporaryFile(buffering=0)\ngone.write(b'ab')\n"
    )
    script = (
        "import opens, os\n"
        "print(opens.file.read(4), opens.gone.tell(), os.get_inheritable(opens.file.fileno()))\n"
        "opens.gone.seek(0)\n"
    )
    program = Program(tmp_path, "opens", path=tmp_path)
    try:
        assert program.said()["ready"]
        for _ in range(2):
            assert Asked(program, script).run() == (0, b"b'2345' 2 False\n")
    finally:
        program.end()


def test_state_that_modules_keep_is_forgotten() -> None:
    import tempfile

    former = tempfile.gettempdir()
    try:
        keeper.forget_state()
        assert tempfile.tempdir is None
    finally:
        tempfile.tempdir = former


def test_a_child_wakes() -> None:
    wake, former = keeper.watch_children()
    try:
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)
        deadline = time.monotonic() + 10
        while not (said := _read(wake)) and time.monotonic() < deadline:
            pass
        assert said
        keeper.drain(wake)
    finally:
        os.close(signal.set_wakeup_fd(-1))
        signal.signal(signal.SIGCHLD, former)
        os.close(wake)


def _read(wake: int) -> bytes:
    try:
        return os.read(wake, 1)
    except BlockingIOError:
        return b""
