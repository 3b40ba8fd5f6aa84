"""Enough shims: how many are wanted, and what happens when their launcher dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.execution import shim_pool as module
from remote_agent.execution.shim_pool import SPARE, Crew
from tests.support.shim_harness import eventually, gone, running


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(tmp_path / "logs")
    yield crew
    pid = crew.pid
    crew.close()
    if pid:
        gone(pid)


@pytest.fixture
def asked(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many shims were asked for, in turn; none is started."""
    numbers: list[int] = []
    monkeypatch.setattr(crew._shims, "resize", numbers.append)
    return numbers


def test_spare_ones_for_what_may_come(crew: Crew, asked: list[int]) -> None:
    crew.capacity = 3
    crew.fit(0)
    crew.capacity = 100
    crew.fit(0)
    assert asked == [3, SPARE]


def test_one_for_all_that_runs_also_above_the_capacity(crew: Crew, asked: list[int]) -> None:
    crew.capacity = 4
    for running_now in (2, 4, 9):
        crew.fit(running_now)
    assert asked == [4, 9]


def test_a_little_less_work_changes_nothing(crew: Crew, asked: list[int]) -> None:
    crew.capacity = 100
    crew.fit(50)
    crew.fit(45)
    assert len(asked) == 1 and asked[0] > 50
    crew.fit(0)
    assert asked[1:] == [SPARE]


def test_a_dead_launcher_is_replaced(crew: Crew, capsys: pytest.CaptureFixture[str]) -> None:
    crew.open()
    first = crew.pid
    assert first is not None and running(first) and not crew.revive()
    os.kill(first, signal.SIGKILL)
    assert eventually(crew.revive)
    assert crew.pid not in {None, first} and not crew.revive()
    assert "has died" in capsys.readouterr().out


def test_a_launcher_that_cannot_be_started_is_tried_again(
    crew: Crew,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "logs").mkdir()

    def refuse(count: int) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(crew._shims, "start", refuse)
    assert not crew.revive()
    assert "trying again" in capsys.readouterr().out
    monkeypatch.undo()
    assert crew.revive()


def test_a_large_log_of_complaints_is_put_aside(
    crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_LOG", 10)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / module.SHIMS_LOG).write_text("x" * 11)
    crew.open()
    assert (tmp_path / "logs" / f"{module.SHIMS_LOG}.1").read_text() == "x" * 11
