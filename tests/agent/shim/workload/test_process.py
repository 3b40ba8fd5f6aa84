"""A job that is a process: its accounts, its end, what it leaves behind, and failed starts."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.processes import SpawnFailed, Swept
from remote_agent.shim.order import Order
from remote_agent.shim.workload import JobPipes
from remote_agent.shim.workload import process as module
from remote_agent.shim.workload.process import ProcessWorkload
from tests.support.shim_harness import ENV, eventually


def order(*argv: str, **fields: object) -> Order:
    return Order("J.1", list(argv), ENV, "/", **fields)  # type: ignore[arg-type]


def start(workload: ProcessWorkload, **env: str) -> int:
    """Start it with its output in a pipe; the end to read."""
    pipe, end = os.pipe()
    try:
        workload.start(JobPipes(None, end, end), {**ENV, **env})
    except SpawnFailed:
        os.close(pipe)
        raise
    finally:
        os.close(end)
    return pipe


def test_it_gets_the_environment_that_is_given_at_the_start() -> None:
    workload = ProcessWorkload(order("sh", "-c", "echo $TOKEN; exit 4"), guarded=True)
    pipe = start(workload, TOKEN="given")
    identity = json.loads(f"{{{workload.identity()}}}")
    assert identity["pid"] == identity["pgid"] == workload.pid > 0
    assert identity["cgroup"] is None
    with os.fdopen(pipe, "rb") as output:
        assert output.read() == b"given\n"
    ended = eventually(workload.reap)
    assert (ended.code, ended.words, ended.forced) == (4, "exited with code 4", False)
    assert workload.usage().max_rss > 0 and not workload.killed_for_memory()
    workload.close()


def test_what_was_swept_counts_as_used(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = ProcessWorkload(order("true"), guarded=True)
    os.close(start(workload))
    eventually(workload.reap)
    own = workload.usage()
    monkeypatch.setattr(module, "sweep", lambda pid: Swept(1, 2.0, 3.0, 0))
    assert workload.sweep().killed == 1
    used = workload.usage()
    assert used.cpu_user == own.cpu_user + 2.0 and used.cpu_system == own.cpu_system + 3.0
    workload.close()


def test_a_start_that_fails_is_a_sentence_and_leaves_nothing() -> None:
    gc.collect()  # what earlier tests have left open
    before = set(os.listdir("/proc/self/fd"))
    workload = ProcessWorkload(order("no-such-program"), guarded=True)
    with pytest.raises(SpawnFailed, match="'no-such-program' not found"):
        start(workload)
    assert workload.pid == 0
    workload.close()
    assert set(os.listdir("/proc/self/fd")) <= before


def test_a_detached_job_keeps_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = ProcessWorkload(order("true", keep_processes=True), guarded=True)
    closed: list[bool] = []
    monkeypatch.setattr(workload._confinement, "close", lambda: closed.append(True))
    os.close(start(workload))
    eventually(workload.reap)
    workload.detach()
    workload.close()
    assert not closed


def test_the_polite_signal_goes_to_the_process_group() -> None:
    program = "trap 'exit 6' INT; echo up; while :; do sleep 0.02; done"
    workload = ProcessWorkload(order("sh", "-c", program), guarded=True)
    with os.fdopen(start(workload), "rb") as output:
        assert output.readline() == b"up\n"
        assert workload.interrupt("SIGINT") == "SIGINT to the process group"
        assert eventually(workload.reap).code == 6
    workload.close()


def test_memory_is_looked_at_only_where_a_limit_asks_for_it() -> None:
    assert ProcessWorkload(order("true"), guarded=True).check_at is None
    watched = ProcessWorkload(order("true", memory_limit=1 << 20), guarded=True)
    assert watched.check_at == 0.0
    hog = "b = bytearray(20 << 20); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hog], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        assert watched.over_memory(1.0) and watched.peak > 20 << 20
        process.communicate(b"\n")


def test_why_a_job_never_began_is_what_its_first_process_wrote(tmp_path: Path) -> None:
    file = tmp_path / "failed"
    workload = ProcessWorkload(order("true", options={"never_begun": str(file)}), guarded=True)
    assert workload.never_begun() == ""
    file.write_bytes(b"no \x1b[31mpackage\n\xff" + b"x" * 9999)
    said = workload.never_begun()
    assert said.startswith("no  [31mpackage �x") and len(said) <= 1500
    file.unlink()
    file.symlink_to("/etc/passwd")
    assert workload.never_begun() == ""
    file.unlink()
    file.mkdir()
    assert workload.never_begun() == ""
    file.rmdir()
    os.mkfifo(file)
    assert workload.never_begun() == ""
    assert ProcessWorkload(order("true"), guarded=True).never_begun() == ""
