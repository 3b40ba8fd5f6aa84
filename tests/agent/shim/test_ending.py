"""Reasons, sentences, and which of two requests wins."""

from __future__ import annotations

from remote_agent.processes import ExitStatus, exit_status
from remote_agent.shim.ending import (
    Ending,
    EndResult,
    Step,
    Timeline,
    memory_detail,
    timeout_detail,
)
from remote_agent.shim.order import Order

ORDER = Order("J.1", ["x"], {}, "/", grace=7.0, stop_signal="SIGINT", memory_limit=512 << 20)


def exited(code: int) -> ExitStatus:
    return exit_status(code << 8)


def test_by_itself() -> None:
    assert Ending(ORDER).result(exited(3)) == EndResult(3, "exit", "exited with code 3")
    assert Ending(ORDER).result(exit_status(15)) == EndResult(143, "signal", "killed by SIGTERM")
    dumped = Ending(ORDER).result(exit_status(11 | 0x80))
    assert dumped == EndResult(139, "signal", "killed by SIGSEGV (core dumped)")


def test_the_first_reason_wins() -> None:
    ending = Ending(ORDER)
    assert ending.interrupt(10.0, "timeout", timeout_detail(90), None, None) == "SIGINT"
    assert ending.kill_at == 17.0
    assert ending.interrupt(11.0, "cancelled", "later", 0.0, "SIGTERM") is None
    assert ending.kill("cancelled", "") is True and ending.kill("cancelled", "") is False
    assert ending.kill_at is None
    assert ending.result(exit_status(9)) == EndResult(
        137,
        "timeout",
        "timeout of 1m30s reached; killed by SIGKILL after SIGINT and a grace period of 7s",
    )


def test_a_request_has_its_own_grace_and_signal() -> None:
    ending = Ending(ORDER)
    assert ending.interrupt(10.0, "cancelled", "by anna", 1.0, "SIGHUP") == "SIGHUP"
    assert ending.kill_at == 11.0
    assert ending.result(exited(0)) == EndResult(
        0, "cancelled", "by anna; exited with code 0 after SIGHUP"
    )
    ending = Ending(ORDER)
    ending.interrupt(10.0, "cancelled", "by anna", 1.0, None)
    ending.kill("", "")
    assert "a grace period of 1s" in ending.result(exit_status(9)).end_detail


def test_memory() -> None:
    ending = Ending(ORDER)
    assert ending.kill("memory_limit", memory_detail(512 << 20, 42.0, 530 << 20))
    assert ending.result(exit_status(9)) == EndResult(
        137, "memory_limit", "killed: memory limit 512 MiB reached at 0:42 (peak 530 MiB)"
    )
    assert Ending(ORDER).result(exit_status(9), killed_for_memory=True) == EndResult(
        137, "memory_limit", "killed: memory limit 512 MiB reached"
    )


def test_the_timeline_is_bounded() -> None:
    timeline = Timeline()
    for number in range(1000):
        timeline.add(number / 3, "hold", "why" if number else "")
    assert len(timeline.entries) == 10
    for number in range(1000):
        timeline.add(1.0, f"step {number}")
    assert len(timeline.entries) == 100
    assert timeline.entries[:2] == [
        Step(0.0, "hold"),
        Step(1 / 3, "hold", "why"),
    ]
