"""The program of warm interpreters: modules, callers, its end."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from tests.support.interpreters import NAME, Asked, Program, running
from tests.support.shim_harness import gone


def test_it_says_when_its_modules_are_there(tmp_path: Path) -> None:
    program = Program(tmp_path, "json", "decimal")
    said = program.said()
    assert said["ready"] and said["size"] > 1 << 20
    assert all(folder.endswith("-packages") for folder in said["folders"])
    assert program.end() == 0


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import _thread, time; _thread.start_new_thread(time.sleep, (9,))", "start threads"),
        ("import socket; S = socket.socketpair()", "open connections"),
        ("raise SystemExit(2)", "SystemExit: 2"),
    ],
)
def test_it_says_why_it_cannot_fork(tmp_path: Path, body: str, why: str) -> None:
    (tmp_path / "odd.py").write_text(body)
    program = Program(tmp_path, "odd", path=tmp_path)
    assert why in program.said()["failed"]
    assert program.end() == 1


def test_jobs_share_the_modules_and_nothing_that_others_did(tmp_path: Path) -> None:
    script = "import os, sys; print('here' in vars(os), 'decimal' in sys.modules); os.here = 1"
    with running(tmp_path, "decimal") as program:
        for _ in range(3):
            assert Asked(program, script).run() == (0, b"False True\n")


def test_random_numbers_differ(tmp_path: Path) -> None:
    script = "import random; print(random.random())"
    with running(tmp_path, "random") as program:
        assert len({Asked(program, script).run()[1] for _ in range(3)}) == 3


def test_files_that_modules_have_open_stay_and_its_own_do_not(tmp_path: Path) -> None:
    (tmp_path / "opens.py").write_text("F = open('/etc/hostname')")
    script = "import os, opens; print(F := opens.F.fileno(), sorted(os.listdir('/proc/self/fd')))"
    program = Program(tmp_path, "opens", path=tmp_path)
    assert program.said()["ready"]
    _, out = Asked(program, script).run()
    kept, listed = out.decode().split(" ", 1)
    assert len(eval(listed)) == 5 and kept in eval(listed)  # 0 to 2, the file, the folder
    program.end()


def test_whoever_only_looks_disturbs_nobody(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        peer.connect(str(tmp_path / NAME))
        peer.close()
        assert Asked(program, "print(1)").run() == (0, b"1\n")


def test_it_ends_with_its_last_job(tmp_path: Path) -> None:
    with running(tmp_path) as program:
        job = Asked(program, "import sys; print('up', flush=True); import time; time.sleep(0.2)")
        pid = job.hear()["pid"]
        job.peer.send(b"go")
        assert job.output.readline() == b"up\n"
        program.control.close()
        assert job.hear() == {"status": 0}
        assert program.process.poll() is None, "the job has not been accounted for"
        job.peer.send(b"done")
        assert program.process.wait(20) == 0
        gone(pid)
        with pytest.raises(ConnectionRefusedError):
            Asked(program, "")
    job.output.close()
    job.close()


def test_a_job_can_neither_trace_nor_read_it() -> None:
    script = (
        "import os\nkeeper = os.getppid()\n"
        "stat = open(f'/proc/{keeper}/stat').read().rpartition(')')[2].split()\n"
        "for pid in (keeper, stat[1], os.getpid()):\n"
        "    try: open(f'/proc/{pid}/environ').close(), print('yes')\n"
        "    except PermissionError: print('no')\n"
    )
    # As a user who is not root, and with a Python and a folder that are everybody's.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        user = 99 if os.getuid() == 0 else None
        os.chmod(folder, 0o777)
        program = Program(Path(folder), python="/usr/bin/python3", user=user)
        os.chmod(f"{folder}/{NAME}", 0o666)
        assert program.said()["ready"]
        assert Asked(program, script).run() == (0, b"no\nno\nyes\n")
        program.end()
