"""A job that is forked: as any other to its shim, and started where it cannot be forked."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_agent.processes import SpawnFailed, Swept
from remote_agent.shim.order import Order
from remote_agent.shim.workload import JobPipes, make_workload
from remote_agent.shim.workload.forked import ForkedWorkload
from remote_agent.shim.workload.process import ProcessWorkload
from tests.support.interpreters import NAME, Program, running
from tests.support.shim_harness import ENV, eventually, gone


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with running(tmp_path) as program:
        yield program


class Run:
    """One workload with its output in a pipe, and its input if it has one."""

    def __init__(
        self, folder: Path, script: str, guarded: bool = True, given: bool = False, **fields: Any
    ) -> None:
        file = folder / "job.py"
        file.write_text(script)
        order = Order(
            "J.1", [sys.executable, "-u", str(file)], ENV, fields.pop("cwd", "/"),
            workload="forked",
            options={"socket": str(folder / NAME), "words": [str(file)]}, **fields,
        )  # fmt: skip
        made = make_workload(order, guarded)
        assert isinstance(made, ForkedWorkload)
        self.workload = made
        output, end = os.pipe()
        self.output = os.fdopen(output, "rb")
        self.input: int | None = None
        stdin = None
        if given:
            stdin, self.input = os.pipe()
        try:
            self.workload.start(JobPipes(stdin, end, end, self.input), {**ENV, "A": "b"})
        except SpawnFailed:
            self.close()
            raise
        finally:
            os.close(end)
            if stdin is not None:
                os.close(stdin)

    @property
    def told(self) -> str:
        return str(self.workload.steps[0].detail)

    def close(self) -> None:
        self.workload.close()
        self.output.close()


def test_it_is_forked_with_its_environment(program: Program, tmp_path: Path) -> None:
    run = Run(tmp_path, "import os; print(os.environ['A'], os.getpid()); raise SystemExit(4)")
    assert run.told.startswith("forked from a warm interpreter")
    assert json.loads(f"{{{run.workload.identity()}}}")["mark"] == "mark"
    ended = eventually(run.workload.reap)
    assert (ended.code, ended.words) == (4, "exited with code 4")
    assert run.output.read() == b"b %d\n" % run.workload.pid
    assert run.workload.sweep().killed == 0
    used = run.workload.usage()
    assert used.max_rss > 0 and used.cpu_user + used.cpu_system > 0
    run.close()


@pytest.mark.parametrize("guarded", [True, False])
def test_where_nobody_forks_it_is_started(
    tmp_path: Path, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, "print('started')", guarded)
    assert run.told.startswith("not forked from a warm interpreter: ")
    assert "mark" not in json.loads(f"{{{run.workload.identity()}}}")
    assert eventually(run.workload.reap).code == 0
    assert run.output.read() == b"started\n"
    # A real one would sweep this process of tests, with the servers that other tests have started.
    swept = Swept(0, 0.0, 0.0, 0)
    monkeypatch.setattr(ProcessWorkload, "sweep", lambda _: swept)
    assert run.workload.sweep() is swept
    run.close()


def test_a_folder_that_cannot_be_entered_fails_as_ever(program: Program, tmp_path: Path) -> None:
    with pytest.raises(SpawnFailed, match="the working directory '/no/such' cannot be entered"):
        Run(tmp_path, "", cwd="/no/such")


def test_it_is_interrupted_and_killed_with_all_below(program: Program, tmp_path: Path) -> None:
    script = (
        "import signal, subprocess, time\nsignal.signal(signal.SIGTERM, lambda *_: print('no'))\n"
        "print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)\n"
        "while True: time.sleep(0.01)\n"
    )
    run = Run(tmp_path, script)
    child = int(run.output.readline())
    assert run.workload.interrupt("SIGTERM") == "SIGTERM to the process group"
    assert run.output.readline() == b"no\n"
    run.workload.kill()
    assert eventually(run.workload.reap).code == 137
    run.workload.sweep()
    gone(child)
    run.close()


def test_memory_is_that_below_its_keeper(program: Program, tmp_path: Path) -> None:
    script = "b = bytearray(60 << 20); print(flush=True); input()"
    run = Run(tmp_path, script, given=True, memory_limit=40 << 20)
    run.output.readline()
    assert run.workload.over_memory(1.0) and run.workload.peak > 60 << 20
    run.workload.kill()
    eventually(run.workload.reap)
    run.workload.sweep()
    run.close()
    assert run.input is not None
    os.close(run.input)


def test_its_input_ends_when_it_is_complete(program: Program, tmp_path: Path) -> None:
    run = Run(tmp_path, "import sys; print(sys.stdin.read())", given=True)
    assert run.input is not None
    os.write(run.input, b"all")
    os.close(run.input)
    os.set_blocking(run.output.fileno(), False)
    assert run.output.read() is None, "the keeper has the input, too"
    run.workload.input_closed()
    assert eventually(run.workload.reap).code == 0
    assert run.output.read() == b"all\n"
    run.workload.sweep()
    run.close()


def test_a_killed_keeper_is_a_killed_job(program: Program, tmp_path: Path) -> None:
    run = Run(tmp_path, "import os, time; print(os.getppid(), flush=True); time.sleep(600)")
    os.kill(int(run.output.readline()), signal.SIGKILL)
    ended = eventually(run.workload.reap)
    assert (ended.code, ended.words, ended.forced) == (137, "killed by SIGKILL", True)
    run.workload.kill()
    assert run.workload.sweep() == (0, 0.0, 0.0, 0)
    gone(run.workload.pid)
    run.close()
