"""`remotectl run` as people use it: outages, interrupts and readers that leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from remote_protocol.states import JobState
from tests.support.stack import Stack, until

COUNT = "n=0; while [ $n -lt 300 ]; do echo line $n; n=$((n+1)); sleep 0.02; done"


def test_run_bridges_a_restart_and_says_so(stack: Stack) -> None:
    stack.agent("a")
    with stack.ctl_start("run", "--shell", "sh", "--", COUNT) as run:
        assert run.stdout is not None and run.stderr is not None
        first = run.stdout.readline()
        stack.server.kill()
        assert b"nothing listens at" in run.stderr.readline()
        stack.start_server()
        assert run.stderr.readline().startswith(b"remotectl: reached the server again after ")
        # Not communicate: it reads past what readline has buffered.
        rest, err = run.stdout.read(), run.stderr.read()
    assert run.returncode == 0, err.decode()
    assert first + rest == b"".join(b"line %d\n" % n for n in range(300))
    assert err == b""


def loads(library: str, pid: int) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()


def test_an_interrupt_at_any_moment_leaves_no_job_behind(stack: Stack) -> None:
    stack.agent("a", capacity=4)
    for step in range(24):
        with stack.ctl_start("run", "--", "sleep", "60") as run:
            # Until it loads the client, Python itself answers a signal, in its own words.
            until(partial(loads, "_json", run.pid), "remotectl is being loaded")
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(0.001 + step * 0.04)
            if step == 23:  # however slow the machine is: one of them comes after the submission
                until(lambda: stack.client.jobs().items, "a job was submitted")
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=30)
        words = f"after {step * 40} ms: exit code {run.returncode}, {err.decode()}"
        # While it is loaded, the signal ends it as any program.
        assert run.returncode in (130, -signal.SIGINT), words
        assert (out, b"Traceback" in err) == (b"", False), words
    jobs = stack.client.jobs().items
    assert jobs
    for job in jobs:
        assert stack.client.wait(job.id, 30).state is JobState.CANCELLED


def test_a_registration_that_was_cut_short_needs_no_new_token(stack: Stack) -> None:
    token = stack.registration_token(uses=1)
    stack.register("a", token=token)
    state_dir = stack.root / "agent-a"
    # What a kill right before the last rename leaves.
    (state_dir / "identity.json").rename(state_dir / "identity.tmp")
    stack.register("a", token=token)
    assert stack.agent("a").running


@pytest.mark.parametrize(
    ("program", "library"),
    [("remote_client", "click"), ("remote_agent", "pydantic"), ("remote_server", "pydantic")],
)
def test_an_interrupt_while_a_program_is_loaded_is_no_traceback(
    program: str, library: str, tmp_path: Path
) -> None:
    slow = "import time\nprint('loading', flush=True)\ntime.sleep(60)\n"
    (tmp_path / f"{library}.py").write_text(slow)
    process = subprocess.Popen(
        [sys.executable, "-m", program, "token", "list"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode in (1, -signal.SIGINT)
    assert err == b""
