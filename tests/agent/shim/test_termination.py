"""Signals in order: polite, then final, then again until it is over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from remote_agent.processes import Swept
from remote_agent.shim.confine import Confinement
from remote_agent.shim.ending import Ending, Steps
from remote_agent.shim.order import Order
from remote_agent.shim.termination import Termination
from tests.support.shim_harness import eventually, running

ORDER = Order("J.1", ["x"], {}, "/", grace=5.0)


class Target:
    """A job, and the force that is set on it."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(
            ["sh", "-c", program], start_new_session=True, stdout=subprocess.PIPE
        )
        self.ending, self.steps = Ending(ORDER), Steps()
        self.force = Termination(self.ending, self.steps, Confinement(ORDER, guarded=True))
        self.force.pid = self.process.pid
        assert self.process.stdout is not None and self.process.stdout.readline() == b"up\n"

    @property
    def said(self) -> list[Any]:
        return [entry["what"] for entry in self.steps.entries]


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    # The real kill_tree kills all that is below this process, and that is the test run.
    monkeypatch.setattr(
        "remote_agent.shim.termination.kill_tree", lambda pid: os.killpg(pid, signal.SIGKILL)
    )
    target = Target("trap '' TERM; trap 'exit 7' USR1; echo up; while :; do sleep 0.05; done")
    yield target
    target.process.kill()
    target.process.communicate()


def test_it_is_polite_once_and_kills_when_grace_is_over(stubborn: Target) -> None:
    force = stubborn.force
    assert force.next_at is None
    force.enforce(time.monotonic() + 1e6)
    force.interrupt("cancelled", "by anna", {"grace": 3, "signal": "SIGNONE"})
    force.interrupt("timeout", "late", {"grace": 0, "signal": "SIGKILL"})
    assert force.next_at is not None and 2 < force.next_at - time.monotonic() <= 3
    force.enforce(force.next_at - 0.5)
    assert stubborn.said == ["interrupt"] and running(stubborn.process.pid)
    force.enforce(force.next_at)
    eventually(lambda: not running(stubborn.process.pid))
    assert stubborn.said == ["interrupt", "kill"]
    assert force.next_at is not None, "until the process is reaped it is killed again"
    force.enforce(force.next_at)
    assert stubborn.said == ["interrupt", "kill"]


def test_a_signal_of_the_wishs_own(stubborn: Target) -> None:
    stubborn.force.interrupt("cancelled", "by anna", {"signal": "SIGUSR1"})
    assert stubborn.process.wait(20) == 7


def test_a_kill_keeps_the_first_reason(stubborn: Target) -> None:
    stubborn.force.interrupt("timeout", "too long", {})
    stubborn.force.kill("cancelled", "superseded")
    assert stubborn.process.wait(20) == -signal.SIGKILL
    assert (stubborn.ending.reason, stubborn.ending.detail) == ("timeout", "too long")


def test_what_was_left_is_swept_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("echo up; exit 0")
    target.process.communicate()
    swept = Swept(killed=2, cpu_user=0.5, cpu_system=0.25, survivors=1)
    monkeypatch.setattr("remote_agent.shim.termination.sweep", lambda pid: swept)
    assert target.force.sweep() == (0.5, 0.25)
    assert target.said == ["swept", "survivors"]
    assert not os.path.exists(f"/proc/{target.process.pid}")
