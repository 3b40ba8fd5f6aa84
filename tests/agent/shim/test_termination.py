"""Signals in order: polite, then final, then again until it is over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from remote_agent.processes import Swept
from remote_agent.shim.ending import Ending, Timeline
from remote_agent.shim.order import Order
from remote_agent.shim.termination import Termination
from remote_agent.shim.workload.process import ProcessWorkload
from tests.support.shim_harness import eventually, running

ORDER = Order("J.1", ["x"], {}, "/", grace=5.0)


class Target:
    """A job, and what ends it."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(
            ["sh", "-c", program], start_new_session=True, stdout=subprocess.PIPE
        )
        self.ending, self.timeline = Ending(ORDER), Timeline()
        workload = ProcessWorkload(ORDER, guarded=True)
        workload.pid = self.process.pid
        self.termination = Termination(self.ending, self.timeline, workload)
        assert self.process.stdout is not None and self.process.stdout.readline() == b"up\n"

    @property
    def said(self) -> list[object]:
        return [entry.what for entry in self.timeline.entries]


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    # The real one kills all that is below this process, and that is the test run.
    monkeypatch.setattr(
        "remote_agent.shim.workload.process.kill_tree", lambda pid: os.killpg(pid, signal.SIGKILL)
    )
    target = Target("trap '' TERM; trap 'exit 7' USR1; echo up; while :; do sleep 0.05; done")
    yield target
    target.process.kill()
    target.process.communicate()


def test_it_is_polite_once_and_kills_when_grace_is_over(stubborn: Target) -> None:
    ended = stubborn.termination
    assert ended.next_at is None
    ended.enforce(time.monotonic() + 1e6)
    before = time.monotonic()
    ended.interrupt("cancelled", "by anna", 3, "SIGNONE")
    after = time.monotonic()
    ended.interrupt("timeout", "late", 0, "SIGKILL")
    assert ended.next_at is not None and before <= ended.next_at - 3 <= after
    ended.enforce(ended.next_at - 0.5)
    assert stubborn.said == ["interrupt"] and running(stubborn.process.pid)
    ended.enforce(ended.next_at)
    eventually(lambda: not running(stubborn.process.pid))
    assert stubborn.said == ["interrupt", "kill"]
    assert ended.next_at is not None, "until the process is reaped it is killed again"
    ended.enforce(ended.next_at)
    assert stubborn.said == ["interrupt", "kill"]


@pytest.mark.parametrize("grace", [None, "3", -1, 1e10, float("nan")])
def test_a_grace_period_that_makes_no_sense_is_the_orders(stubborn: Target, grace: object) -> None:
    before = time.monotonic()
    stubborn.termination.interrupt("cancelled", "by anna", grace, ["SIGTERM"])
    next_at = stubborn.termination.next_at
    assert next_at is not None and before <= next_at - 5 <= time.monotonic()
    assert stubborn.ending.interrupted == "SIGTERM"


def test_a_signal_of_the_requests_own(stubborn: Target) -> None:
    stubborn.termination.interrupt("cancelled", "by anna", signal="SIGUSR1")
    assert stubborn.process.wait(60) == 7


def test_a_kill_keeps_the_first_reason(stubborn: Target) -> None:
    stubborn.termination.interrupt("timeout", "too long")
    stubborn.termination.kill("cancelled", "superseded")
    assert stubborn.process.wait(60) == -signal.SIGKILL
    assert (stubborn.ending.reason, stubborn.ending.detail) == ("timeout", "too long")


def test_what_was_left_is_swept_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("echo up; exit 0")
    target.process.communicate()
    swept = Swept(killed=2, cpu_user=0.5, cpu_system=0.25, survivors=1)
    monkeypatch.setattr("remote_agent.shim.workload.process.sweep", lambda pid: swept)
    target.termination.sweep()
    assert target.said == ["swept", "survivors"] and target.termination.survivors == 1
