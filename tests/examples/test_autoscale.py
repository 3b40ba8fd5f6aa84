"""How many agents a load needs, and when there may be fewer."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from examples.autoscale import (
    Autoscaler,
    Limits,
    Load,
    connect,
    load_of,
    main,
    parse,
    run_command,
    wanted,
)
from remote_client.errors import Unreachable, UsageError
from remote_protocol.api.queues import QueueView

LIMITS = Limits(least=1, most=10, jobs_per_agent=4, oldest=60.0)
QUIET = Load(0, 0, 0.0, 1)


def queue(**fields) -> QueueView:
    return QueueView(name="q", created_at=datetime(2026, 1, 1, tzinfo=UTC), **fields)


@pytest.mark.parametrize(
    ("load", "agents"),
    [
        (QUIET, 1),
        (Load(1, 0, 5.0, 0), 1),
        (Load(4, 1, 5.0, 1), 2),
        (Load(0, 9, 0.0, 3), 3),
        (Load(1000, 0, 5.0, 3), 10),
        # Places enough, and yet one waits for long: it is heavy, or the others lack a label.
        (Load(1, 2, 61.0, 3), 4),
        (Load(1, 2, 60.0, 3), 1),
        (Load(1, 2, 61.0, 10), 10),
        # More than the depth alone asks for, never less.
        (Load(30, 0, 61.0, 2), 8),
    ],
)
def test_what_a_load_needs(load: Load, agents: int) -> None:
    assert wanted(load, LIMITS) == agents


def test_queues_together() -> None:
    assert load_of([]) == Load(0, 0, 0.0, 0)
    found = load_of(
        [
            queue(queued=3, running=2, oldest_seconds=5.0, agents_online=2),
            queue(queued=1, running=1, oldest_seconds=70.0, agents_online=3),
            queue(queued=50, running=4, oldest_seconds=9000.0, paused=True),
        ]
    )
    assert found == Load(4, 7, 70.0, 3)
    assert str(found) == "4 wait, the oldest for 1m10s, 7 run, 3 agents are online"


class World:
    """A load that the test sets, and the numbers that were applied."""

    def __init__(self, cooldown: float = 60.0, load: Load = QUIET) -> None:
        self.load = load
        self.applied: list[int] = []
        self.works = True
        self.scaler = Autoscaler(self._look, self._apply, LIMITS, cooldown)

    def _look(self) -> Load:
        if self.load.waiting < 0:
            raise Unreachable("no answer")
        return self.load

    def _apply(self, agents: int) -> bool:
        self.applied.append(agents)
        return self.works


def test_more_at_once_fewer_after_the_cooldown() -> None:
    world = World()
    for now, load in (
        (0.0, QUIET),
        (1.0, Load(40, 0, 1.0, 1)),
        (2.0, QUIET),
        (30.0, Load(8, 0, 1.0, 1)),
        (61.0, QUIET),
        (62.0, QUIET),
        (91.0, QUIET),
        (500.0, QUIET),
    ):
        world.load = load
        assert world.scaler.turn(now)
    assert world.applied == [1, 10, 2, 1]


def test_a_restart_of_the_program_stops_no_agent_sooner() -> None:
    world = World(load=Load(0, 0, 0.0, 7))
    world.scaler.turn(0.0)
    world.scaler.turn(59.0)
    world.scaler.turn(61.0)
    assert world.applied == [7, 1]
    once = World(cooldown=0.0, load=Load(0, 0, 0.0, 7))
    once.scaler.turn(0.0)
    assert once.applied == [1]


def test_what_failed_is_done_again_and_an_outage_changes_nothing() -> None:
    world = World(load=Load(8, 0, 1.0, 0))
    world.works = False
    assert not world.scaler.turn(0.0)
    world.works = True
    assert world.scaler.turn(1.0) and world.scaler.turn(2.0)
    assert world.applied == [2, 2]
    world.load = Load(-1, 0, 0.0, 0)
    with pytest.raises(Unreachable):
        world.scaler.turn(100.0)
    world.load = Load(8, 0, 1.0, 0)
    assert world.scaler.turn(200.0)
    assert world.applied == [2, 2]


def test_the_command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_TOKEN", "rpt_secret")
    program = "import os, sys; print(sys.argv[1:], 'REMOTE_TOKEN' in os.environ)"
    assert run_command([sys.executable, "-c", program, "--replicas={agents}", "$(x)"], 3)
    assert capfd.readouterr().out == "['--replicas=3', '$(x)'] False\n"
    assert run_command([], 4)
    assert capfd.readouterr().out == "4\n"
    assert not run_command([sys.executable, "-c", "raise SystemExit({agents})"], 7)
    assert "it ended with 7" in capfd.readouterr().err
    assert not run_command(["/no/such/program", "{agents}"], 1)
    assert "/no/such/program: No such file" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max", "3"], "--queue"),
        (["--queue", "a"], "--max"),
        (["--queue", "a", "--max", "0"], "is no number from 1"),
        (["--queue", "a", "--max", "1", "--min", "2"], "--max is less than --min"),
        (["--queue", "a", "--max", "1", "--every", "0.5s"], "--every is 1s or longer"),
        (["--queue", "a", "--max", "1", "--oldest", "soon"], "soon"),
        (["--queue", "a", "--max", "1", "--", "scale", "5"], "write {agents}"),
    ],
)
def test_options_that_make_no_sense(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_access(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("REMOTE_URL", "REMOTE_TOKEN", "REMOTE_CA_FILE", "REMOTE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert main(["--queue", "a", "--max", "1"]) == 2
    assert "REMOTE_URL" in capsys.readouterr().err
    monkeypatch.setenv("REMOTE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("REMOTE_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        connect()
    (tmp_path / "token").write_text("rpt_" + "t" * 43 + "\n")
    connect().close()
