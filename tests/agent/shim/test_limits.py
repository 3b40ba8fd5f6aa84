"""Time, memory and the absence of the server: each ends the job in its own way, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remote_agent.processes import boot_id
from remote_agent.shim.contact import Absence, ContactNote
from remote_agent.shim.ending import Ending, Timeline
from remote_agent.shim.limits import Limits
from remote_agent.shim.order import Order
from remote_agent.shim.termination import Termination

MIB = 1 << 20


class FakeWorkload:
    """One that is only asked."""

    pid, note, peak = 1, "", 0
    check_at: float | None = None

    def __init__(self) -> None:
        self.done: list[str] = []
        self.used = 0
        self.limit = 0

    def interrupt(self, signal: str) -> str:
        self.done.append(signal)
        return signal

    def kill(self) -> None:
        self.done.append("kill")

    def over_memory(self, now: float) -> bool:
        self.check_at, self.peak = now + 0.25, self.used
        return self.used > self.limit


class Case:
    def __init__(self, state: Path, **fields: Any) -> None:
        order = Order("J.1", ["x"], {}, "/", grace=5.0, **fields)
        self.workload, self.timeline = FakeWorkload(), Timeline()
        if order.memory_limit is not None:
            self.workload.check_at, self.workload.limit = 0.0, order.memory_limit
        self.ending = Ending(order)
        workload: Any = self.workload
        termination = Termination(self.ending, self.timeline, workload)
        absence = None
        if order.stop_after is not None:
            absence = Absence(str(state / "contact"), order.stop_after, boot_id())
        self.limits = Limits(order, workload, absence, self.ending, termination, self.timeline)
        self.limits.start(100.0)

    def next_check(self) -> float | None:
        return self.limits.next_check()

    @property
    def said(self) -> list[object]:
        return [entry.what for entry in self.timeline.entries]


def test_without_limits_nothing_is_ever_due(tmp_path: Path) -> None:
    ContactNote(tmp_path / "contact").note(0.0)
    case = Case(tmp_path)
    assert case.next_check() is None
    case.limits.enforce(1e9)
    assert case.workload.done == [] and case.ending.reason is None


def test_the_timeout_runs_from_the_start_and_counts_once(tmp_path: Path) -> None:
    case = Case(tmp_path, timeout=30.0)
    assert case.next_check() == 130.0
    case.limits.enforce(129.9)
    assert case.workload.done == []
    case.limits.enforce(130.0)
    case.limits.enforce(130.1)
    assert case.workload.done == ["SIGTERM"] and case.said == ["timeout", "interrupt"]
    assert (case.ending.reason, case.ending.detail) == ("timeout", "timeout of 30s reached")


def test_a_job_that_is_being_ended_does_not_run_into_its_timeout(tmp_path: Path) -> None:
    case = Case(tmp_path, timeout=30.0)
    case.ending.interrupt(129.0, "cancelled", "by anna", 1e6, None)
    case.limits.enforce(131.0)
    assert case.said == [] and case.ending.reason == "cancelled"


def test_memory_is_asked_for_when_it_is_due_and_kills_at_once(tmp_path: Path) -> None:
    case = Case(tmp_path, memory_limit=64 * MIB)
    case.workload.used = 10 * MIB
    case.limits.enforce(110.0)
    assert case.workload.done == [] and case.next_check() == 110.25
    case.workload.used = 65 * MIB
    case.limits.enforce(110.2)
    assert case.workload.done == [], "it is not time to look"
    case.limits.enforce(142.0)
    assert case.workload.done == ["kill"] and case.said == ["memory_limit", "kill"]
    assert case.ending.detail == "killed: memory limit 64 MiB reached at 0:42 (peak 65 MiB)"


def test_a_server_that_is_away_for_too_long_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_agent.shim.contact.boottime", lambda: 1000.0)
    ContactNote(tmp_path / "contact").note(900.0)
    case = Case(tmp_path, stop_after=50.0)
    assert case.next_check() == 0.0
    case.limits.enforce(101.0)
    assert case.workload.done == ["SIGTERM"] and case.ending.reason == "lost"
    assert case.ending.detail.startswith("stopped: the server was away for 1m40s")
