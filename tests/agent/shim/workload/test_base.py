"""Workloads by their names, and one that the shim's modules know nothing of: a container by the
command line of an engine. Attempt, output, record and ending serve it as they serve processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_agent.shim.order import Order, OrderError
from remote_agent.shim.workload import make_workload
from remote_agent.shim.workload.process import ProcessWorkload
from tests.support.shim_harness import Run, ShimHarness, eventually, gone, running, tell
from tests.support.shim_seams import extended_client

ENGINE = f"""#!{sys.executable} -IS
# Containers as processes: run, kill, inspect and rm of an engine such as docker.
import os, signal, subprocess, sys, time
here = os.path.dirname(os.path.abspath(__file__))
def note(text):
    with open(here + "/calls", "a") as calls: calls.write(text + "\\n")
note(" ".join(sys.argv))
what, *rest = sys.argv[1:]
if what == "run":
    name, rest = rest[1], rest[2:]
    while rest[0] == "--env": rest = rest[2:]
    note("image " + rest[0])
    inside = subprocess.Popen(rest[1:], start_new_session=True)
    with open(here + "/" + name, "w") as file: file.write(str(inside.pid))
    code = inside.wait()
    sys.exit(128 - code if code < 0 else code)
elif what == "kill":
    while rest[1] == "SIGKILL" and os.path.exists(here + "/slow"): time.sleep(.01)
    os.killpg(int(open(here + "/" + rest[2]).read()), signal.Signals[rest[1]])
elif what == "inspect" and os.path.exists(here + "/oom"):
    print("oom")
elif what == "rm":
    os.unlink(here + "/" + rest[1])
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "engine" / "docker"
    path.parent.mkdir()
    path.write_text(ENGINE)
    path.chmod(0o755)
    return path


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ShimHarness]:
    harness = ShimHarness(tmp_path / "state")
    with extended_client():
        harness.shims.start(2)
    try:
        yield harness
    finally:
        harness.close()


def container(engine: Path) -> dict[str, Any]:
    return {"workload": "container", "options": {"engine": str(engine), "image": "busybox:1"}}


def sh(text: str) -> list[str]:
    return ["sh", "-c", text]


def test_an_order_names_its_workload() -> None:
    order = Order("J.1", ["x"], {}, "/")
    assert isinstance(make_workload(order, guarded=True), ProcessWorkload)
    with pytest.raises(
        OrderError, match=r"the workload 'moon', which this shim does not have \(it"
    ):
        make_workload(order._replace(workload="moon"), guarded=True)


def test_an_attempt_with_an_unknown_workload_ends_in_words(harness: ShimHarness) -> None:
    record = harness.ended(harness.start(["true"], workload="moon"))
    assert (record["exit_code"], record["end_reason"]) == (126, "spawn_error")
    assert "the workload 'moon'" in record["end_detail"]


def test_a_container_runs_with_its_input_output_and_end(harness: ShimHarness, engine: Path) -> None:
    script = 'read line; echo "got $line"; echo oops >&2; exit 7'
    run = harness.run(sh(script), payload=b"input\n", **container(engine))
    assert (run.code, run.reason, run.stdout, run.stderr) == (7, "exit", b"got input\n", b"oops\n")
    calls = (engine.parent / "calls").read_text()
    assert "image busybox:1" in calls and f"rm --force job-{run.directory.name}" in calls
    started = json.loads((run.directory / "started.json").read_text())
    assert started["container"] == f"job-{run.directory.name}"


def test_a_container_is_interrupted_and_then_killed(harness: ShimHarness, engine: Path) -> None:
    said, slow = engine.parent / "said", engine.parent / "slow"
    slow.touch()
    script = f"trap 'echo no; : > {said}' TERM; echo up; while :; do sleep 0.02; done"
    directory = harness.start(sh(script), **container(engine))
    log = directory / "output.log"
    eventually(lambda: log.exists() and b"up" in log.read_bytes())
    # The engine notes the process when the job is at work already.
    note = engine.parent / f"job-{directory.name}"
    inside = int(eventually(lambda: note.exists() and note.read_text()))
    assert tell(directory, {"do": "stop", "detail": "enough", "grace": 0.3})
    # The grace period may be over before the job has answered.
    eventually(said.exists)
    slow.unlink()
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.reason) == (137, "cancelled") and b"no" in run.stdout
    interrupt = next(step for step in run.record["steps"] if step["what"] == "interrupt")
    assert interrupt["detail"] == "SIGTERM to the container: enough"
    gone(inside)


def test_a_containers_own_memory_limit_and_secrets(
    harness: ShimHarness, engine: Path, tmp_path: Path
) -> None:
    (engine.parent / "oom").write_text("oom\n")
    directory = harness.make(
        sh('echo "${#TOKEN}"; kill -KILL $$'),
        secrets=["TOKEN"],
        memory_limit=64 << 20,
        filter="redact",
        **container(engine),
    )
    harness.shims.request(directory, {"TOKEN": "do-not-show"})
    run = Run(directory, harness.ended(directory))
    assert (run.code, run.reason, run.stdout) == (137, "memory_limit", b"11\n")
    assert run.detail == "killed: memory limit 64 MiB reached"
    assert "do-not-show" not in (engine.parent / "calls").read_text()


def test_a_full_spool_makes_a_container_wait(harness: ShimHarness, engine: Path) -> None:
    directory = harness.start(
        sh("head -c 5000000 /dev/zero"), segment_size=500_000, segments=3, **container(engine)
    )
    closed = lambda: sorted(directory.glob("output.0*"))  # noqa: E731
    eventually(lambda: len(closed()) == 3)
    assert running(harness.started(directory)["pid"])
    while not (directory / "exit.json").exists():
        for path in closed()[:-1]:
            path.unlink()
        eventually(lambda: (directory / "exit.json").exists() or len(closed()) > 1)
    assert harness.ended(directory)["usage"]["stdout_bytes"] == 5_000_000
