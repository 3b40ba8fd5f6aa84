"""Enough shims: how many are wanted, and what happens when their launcher dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.execution import shim_pool as module
from remote_agent.execution.shim_pool import SPARE, ShimPool
from remote_agent.planning.work import Interpreter
from remote_agent.sections import PythonPart
from remote_agent.shim.secrets import SecretsError
from tests.support.shim_harness import ShimHarness, eventually, gone, running


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ShimPool]:
    pool = ShimPool(tmp_path / "logs")
    yield pool
    pid = pool.pid
    pool.close()
    if pid:
        gone(pid)


@pytest.fixture
def asked(pool: ShimPool, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many shims were asked for, in turn; none is started."""
    numbers: list[int] = []
    monkeypatch.setattr(pool._shims, "resize", numbers.append)
    return numbers


def test_the_launchers_before_a_restart_are_waited_for(
    pool: ShimPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.open()
    pool.hand_over()
    assert os.environ[module.FORMER] == str(pool.pid)
    former = subprocess.Popen(["true"])
    monkeypatch.setenv(module.FORMER, f"{former.pid} 999999999")
    later = ShimPool(tmp_path / "later")
    assert module.FORMER not in os.environ, "no job gets it"
    later.open()
    eventually(lambda: not later.revive() and not later._former)
    former.returncode = 0  # it was waited for
    later.close()


def test_spare_ones_for_what_may_come(pool: ShimPool, asked: list[int]) -> None:
    pool.capacity = 3
    pool.fit(0)
    pool.capacity = 100
    pool.fit(0)
    assert asked == [3, SPARE]


def test_one_for_all_that_runs_also_above_the_capacity(pool: ShimPool, asked: list[int]) -> None:
    pool.capacity = 4
    for running_now in (2, 4, 9):
        pool.fit(running_now)
    assert asked == [4, 9]


def test_a_little_less_work_changes_nothing(pool: ShimPool, asked: list[int]) -> None:
    pool.capacity = 100
    pool.fit(50)
    pool.fit(45)
    assert len(asked) == 1 and asked[0] > 50
    pool.fit(0)
    assert asked[1:] == [SPARE]


def test_shims_move_to_the_group_for_jobs(tmp_path: Path) -> None:
    (tmp_path / "group" / "agent").mkdir(parents=True)
    pool = ShimPool(tmp_path / "logs", group=str(tmp_path / "group"))
    pool.open()
    try:
        moved = (tmp_path / "group" / "agent" / "cgroup.procs").read_text()
        assert moved == str(pool.pid)
    finally:
        pid = pool.pid
        pool.close()
        gone(pid or 0)


def test_shims_whose_group_is_gone_start_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = ShimPool(tmp_path / "logs", group=str(tmp_path / "absent"))
    pool.open()
    try:
        assert pool.pid and running(pool.pid)
        assert "shims stay in the agent's control group" in capsys.readouterr().out
    finally:
        pid = pool.pid
        pool.close()
        gone(pid or 0)


def test_a_dead_launcher_is_replaced(pool: ShimPool, capsys: pytest.CaptureFixture[str]) -> None:
    pool.open()
    first = pool.pid
    assert first is not None and running(first) and not pool.revive()
    os.kill(first, signal.SIGKILL)
    assert eventually(pool.revive)
    assert pool.pid not in {None, first} and not pool.revive()
    assert "has died" in capsys.readouterr().out


def test_a_launcher_that_cannot_be_started_is_tried_again(
    pool: ShimPool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "logs").mkdir()

    def refuse(count: int) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(pool._shims, "start", refuse)
    assert not pool.revive()
    assert "trying again" in capsys.readouterr().out
    monkeypatch.undo()
    assert pool.revive()


def test_secrets_reach_the_shim_in_memory_only(pool: ShimPool, tmp_path: Path) -> None:
    harness = ShimHarness(tmp_path / "state")
    directory = harness.make(["sh", "-c", 'exit "${#TOKEN}"'], secrets=["TOKEN"])
    pool.open()
    pool.request(directory, {"TOKEN": "s3cret-value"})
    assert harness.ended(directory)["exit_code"] == len("s3cret-value")
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if b"s3cret-value" in path.read_bytes()]
    harness.close()
    with pytest.raises(SecretsError, match="cannot be the name"):
        pool.request(directory, {"A=B": "s3cret-value"})


def test_a_large_log_of_complaints_is_put_aside(
    pool: ShimPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_LOG", 10)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / module.SHIMS_LOG).write_text("x" * 11)
    pool.open()
    assert (tmp_path / "logs" / f"{module.SHIMS_LOG}.1").read_text() == "x" * 11


def test_a_start_waits_for_its_interpreter(pool: ShimPool, tmp_path: Path) -> None:
    pool.open()
    gate = tmp_path / "gate"
    (tmp_path / "slow.py").write_text(
        f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    )
    wanted = Interpreter("name", sys.executable, ("slow",), {"PYTHONPATH": str(tmp_path)}, None)
    pool.want_interpreter("J.1", wanted, PythonPart(), {})
    with pytest.raises(BlockingIOError, match="imports modules"):
        pool.request(tmp_path / "J.1")
    pool.request(tmp_path / "other")
    gate.touch()
    eventually(lambda: not pool._interpreters or not pool._interpreters.pending("J.1"))
    pool.request(tmp_path / "J.1")
    (pid,) = pool._interpreters.pids() if pool._interpreters else (0,)
    pool.hand_over()
    assert os.environ.pop(module.FORMER) == f"{pool.pid} {pid}"
    pool.close()
    gone(pid)
