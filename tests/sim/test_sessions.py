"""The real server and real agents, over links, disks, shims and clocks that fail in every way.

The server here is the store on SQLite in memory, the hub with its links, the dispatcher and the
sweeper; an agent is the link's loop, the session driver, the uploader and the shutdown. Each
process has an event loop whose time is simulated; only sockets, files, shims and clocks are fakes.
Thousands of random schedules: links cut with any suffix lost in each direction, frozen, half-open;
agent, server, database, log files and disks that fail and come back, the server also right before
and right after a commit; cancels and pauses at any time. The invariants of docs/architecture.md are
asserted while a world runs (`world.World`), and that everything ends once it is left in peace. A
failure names its seed:

    SIM_SEED=4711 SIM_SCHEDULES=1 pytest tests/sim

`make test` plays 250 schedules, `make test-sim` 1,000, and half as many in which an older copy of
the database is restored now and then.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sim.journal import errors_of_the_server
from tests.sim.restored_world import RestoredWorld
from tests.sim.world import run

SEED = int(os.environ.get("SIM_SEED", "1"))
SCHEDULES = int(os.environ.get("SIM_SCHEDULES", "250"))
BLOCKS = 4
STEPS = 250


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the server calls an error is one, also where it goes on in spite of it."""
    # What was imported is none of the collector's business: there are many short worlds.
    gc.collect()
    gc.freeze()
    with errors_of_the_server() as errors:
        yield
    gc.unfreeze()
    assert errors == []


def _explore(seeds: range, steps: int, agents: int) -> tuple[Counter[str], Counter[str]]:
    seen: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for seed in seeds:
        try:
            world = run(Random(seed), steps, agents)
        except Exception as error:
            error.add_note(f"seed {seed}, {steps} steps, {agents} agents")
            raise
        seen.update(world.seen)
        ends.update(reason for _, reason in world.ends.values())
    return seen, ends


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_schedule_keeps_the_invariants(block: int) -> None:
    size = -(-SCHEDULES // BLOCKS)
    first = SEED + block * size
    _, ends = _explore(range(first, min(first + size, SEED + SCHEDULES)), STEPS, agents=2)
    assert SCHEDULES < 100 or min(ends["exit"], ends["cancelled"], ends["spawn_error"]) > 0


def test_schedules_reach_every_corner() -> None:
    seen, ends = _explore(range(90_000, 90_080), 1000, agents=3)
    messages = {
        *("hello", "accept", "refuse", "started", "ended", "heartbeat", "missing"),
        *("welcome", "offer", "confirm", "rewind", "settled", "cancel", "superseded", "resync"),
        *("heartbeat_ack", "read_input", "input_end"),
    }
    records = {"Accepted", "Withdrawn", "Running", "Finished", "Returned"}
    effects = {"Kill", "Stop", "CloseLink", "TruncateLog", "FillLog", "Close", "sweep Lost"}
    effects |= {"AppendInput", "EndInput", "input sent", "eaten"}
    effects |= {"doubted offer", "torn", "ContactConfirmed", "forsaken", "sweep unstarted"}
    effects |= {"Start with secrets", "outputs", "died before a commit", "died after a commit"}
    effects |= {"power cut", "started before the commit", "failed unrecorded"}
    effects |= {"taken up", "not durable", "vanished", "vanished confirmed"}
    effects |= {"confirmed before the flush"}
    assert (messages | records | effects) - seen.keys() == set()
    assert {"exit", "cancelled", "spawn_error", "lost"} <= ends.keys()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**64 - 1),
    steps=st.integers(1, 300),
    agents=st.integers(1, 4),
)
def test_any_schedule_keeps_the_invariants(seed: int, steps: int, agents: int) -> None:
    run(Random(seed), steps, agents)


def test_restored_databases_keep_the_invariants() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEED + 200_000, SEED + 200_000 + max(SCHEDULES // 2, 1)):
        try:
            seen.update(run(Random(seed), 400, 2, RestoredWorld).seen)
        except Exception as error:
            error.add_note(f"seed {seed}, a world of restorations")
            raise
    reached = {"restore", "restore to run", "left alone", "started on the way", "Lost", "Kill"}
    assert SCHEDULES < 100 or reached - seen.keys() == set()
