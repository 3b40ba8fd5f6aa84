"""`remotectl run` as people use it: outages, interrupts and readers that leave."""

from __future__ import annotations

import signal
import subprocess

import pytest

from remote_protocol.states import JobState
from tests.support.stack import Stack

COUNT = "n=0; while [ $n -lt 300 ]; do echo line $n; n=$((n+1)); sleep 0.02; done"


def test_run_bridges_a_restart_and_says_so(stack: Stack) -> None:
    stack.agent("a")
    with stack.ctl_start("run", "--shell", "sh", "--", COUNT) as run:
        assert run.stdout is not None and run.stderr is not None
        first = run.stdout.readline()
        stack.server.kill()
        assert b"Connection refused" in run.stderr.readline()
        stack.start_server()
        assert run.stderr.readline().startswith(b"remotectl: reached the server again after ")
        rest, err = run.communicate(timeout=60)
    assert run.returncode == 0, err.decode()
    assert first + rest == b"".join(b"line %d\n" % n for n in range(300))
    assert err == b""


def test_an_interrupt_at_any_moment_leaves_no_job_behind(stack: Stack) -> None:
    stack.agent("a", capacity=4)
    for step in range(24):
        with stack.ctl_start("run", "--", "sleep", "60") as run:
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(0.01 + step * 0.04)
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=30)
        words = f"after {step * 40} ms: exit code {run.returncode}, {err.decode()}"
        # While Python itself starts, the signal ends it as any program.
        assert run.returncode in (130, -signal.SIGINT), words
        assert (out, b"Traceback" in err) == (b"", False), words
    jobs = stack.client.jobs().items
    assert jobs
    for job in jobs:
        assert stack.client.wait(job.id, 10).state is JobState.CANCELLED


def test_a_registration_that_was_cut_short_needs_no_new_token(stack: Stack) -> None:
    token = stack.registration_token(uses=1)
    stack.register("a", token=token)
    state_dir = stack.root / "agent-a"
    # What a kill right before the last rename leaves.
    (state_dir / "identity.json").rename(state_dir / "identity.tmp")
    stack.register("a", token=token)
    assert stack.agent("a").running
