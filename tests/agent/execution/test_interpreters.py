"""Which warm interpreters there are: real ones, and a clock of the test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from remote_agent.execution import interpreters as module
from remote_agent.execution.interpreters import Interpreters
from remote_agent.planning.work import Interpreter
from remote_agent.sections import PythonPart
from tests.support.shim_harness import ENV, eventually, gone

SETTINGS = PythonPart()


class Case:
    def __init__(self, root: Path) -> None:
        self.now = 0.0
        self.placed: list[int] = []
        (root / "logs").mkdir()
        self.pool = Interpreters(
            root, {**ENV, "PYTHONPATH": str(root)}, None, self.placed.append, lambda: self.now
        )

    def want(self, name: str, *modules: str, settings: PythonPart = SETTINGS) -> None:
        wanted = Interpreter(name, sys.executable, modules, {}, None)
        self.pool.want(f"{name}.1", wanted, settings)

    def left(self) -> list[int]:
        """Those that live after a look."""
        self.pool.tick()
        return self.pool.pids()

    def ready(self, name: str) -> None:
        eventually(lambda: not self.pool.pending(f"{name}.1"))


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    case = Case(tmp_path)
    yield case
    pids = case.pool.pids()
    case.pool.close()
    for pid in pids:
        gone(pid)


def test_attempts_wait_until_their_modules_are_imported(case: Case, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import os, time\nwhile not os.path.exists({!r}): time.sleep(0.01)".format(
            str(tmp_path / "go")
        )
    )
    case.want("a", "slow")
    assert case.pool.pending("a.1") and not case.pool.pending("other.1")
    (tmp_path / "go").touch()
    case.ready("a")
    assert case.placed == case.pool.pids()
    case.want("a", "slow")
    assert not case.pool.pending("a.1") and len(case.placed) == 1


def test_what_fails_is_said_once_and_tried_again_later(case: Case) -> None:
    with capture_logs() as logs:
        case.want("a", "no_such_module")
        case.ready("a")
        case.want("a", "no_such_module")
    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert len(warnings) == 1 and "no_such_module cannot be imported" in warnings[0]["reason"]
    assert len(case.placed) == 1
    case.now = module.TRIED_AGAIN + 1
    case.want("a", "json")
    case.ready("a")
    assert len(case.placed) == 2


def test_one_that_is_too_large_or_too_slow_is_ended(case: Case, tmp_path: Path) -> None:
    with capture_logs() as logs:
        case.want("a", "json", settings=PythonPart(warm_memory=1 << 20))
        case.ready("a")
        (tmp_path / "stuck.py").write_text("import time; time.sleep(600)")
        case.want("b", "stuck")
        assert case.pool.pending("b.1")
        case.now += module.IMPORTED_WITHIN
        case.ready("b")
    reasons = [str(entry["reason"]) for entry in logs if entry["log_level"] == "warning"]
    assert "warm_memory allows 1 MiB" in reasons[0] and "after 60 s" in reasons[1]
    eventually(lambda: not case.left())


def test_a_program_that_is_missing_is_named(case: Case) -> None:
    with capture_logs() as logs:
        case.pool.want("a.1", Interpreter("a", "/no/such/python", (), {}, None), SETTINGS)
    assert "/no/such/python" in logs[-1]["reason"] and not case.pool.pending("a.1")


def test_there_are_only_so_many(case: Case) -> None:
    two = PythonPart(warm=2)
    for number, name in enumerate("abac"):
        case.now = float(number)
        case.want(name, settings=two)
        case.ready(name)
    gone(case.placed[1])
    eventually(lambda: case.left() == [case.placed[0], case.placed[2]])


def test_nothing_is_left_of_those_that_have_ended(case: Case, tmp_path: Path) -> None:
    """A job may want one that no other wants: their files would fill the disk with time."""
    kept = {"interpreter.py", "keeper.py", "__pycache__"}
    one, folder = PythonPart(warm=1), tmp_path / "interpreters"
    settings = {"folder": str(tmp_path / "none"), "requirements": [], "offline": True}
    more = {"index_url": None, "find_links": None, "netrc": None}
    for name in ("a", "b"):
        wanted = Interpreter(name, sys.executable, ("json",), {}, None, {**settings, **more})
        case.pool.want(f"{name}.1", wanted, one)
        there = {path.name for path in folder.iterdir()} - kept
        assert there == {name, f"{name}.environment"}
    with capture_logs():
        case.pool.want("c.1", Interpreter("c", "/no/such/python", (), {}, None), one)
    case.pool.close()
    assert {path.name for path in folder.iterdir()} <= kept


def test_the_idle_the_old_and_the_used_are_replaced(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.want("a")
    case.ready("a")
    case.now = module.IDLE
    case.pool.tick()
    gone(case.placed[0])
    case.want("a")
    case.ready("a")
    case.now += module.LIFETIME
    case.want("a")
    assert len(case.placed) == 3
    monkeypatch.setattr(module, "JOBS", 2)
    case.want("a")
    case.want("a")
    assert len(case.placed) == 4


def test_one_that_was_killed_is_noticed(case: Case) -> None:
    case.want("a")
    case.ready("a")
    os.kill(case.placed[0], signal.SIGKILL)
    eventually(lambda: not case.left())
    case.want("a")
    case.ready("a")
    assert len(case.placed) == 2


def test_what_a_former_agent_left_is_removed(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "interpreters"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "old").touch()
    case.want("a")
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == [
        "a", "interpreter.py", "keeper.py",
    ]  # fmt: skip
    assert (tmp_path / "logs" / module.LOG).stat().st_mode & 0o777 == 0o600
    case.ready("a")
