"""The janitor: what it deletes and when, what it says of a full disk, when output has to wait."""

from __future__ import annotations

import asyncio
import time

import pytest

from remote_agent.config import Config
from remote_agent.journal import SettledLog
from remote_agent.local import janitor as module
from remote_agent.local.janitor import Janitor
from remote_agent.sections import LimitsPart, LogsPart
from remote_protocol.attempt_id import AttemptId
from tests.support.fake_server import new_key

GIB = 1024**3


class Environments:
    """Notes what it may keep."""

    def __init__(self) -> None:
        self.trimmed: list[int] = []

    def trim(self, most: int) -> int:
        self.trimmed.append(most)
        return 0


class Shelf:
    """A journal's settled attempts, in memory."""

    def __init__(self) -> None:
        self.environments = Environments()
        self.logs: dict[AttemptId, tuple[float, int]] = {}
        self.trash = 0
        self.stubborn: set[AttemptId] = set()
        self.freed = 0
        self.prepared = 0
        self.renewed = 0

    def put(self, age: float, size: int) -> AttemptId:
        key = new_key()
        self.logs[key] = (time.time() - age, size)
        return key

    def kept(self):
        return iter([SettledLog(key, at, size) for key, (at, size) in self.logs.items()])

    def prepare(self) -> None:
        self.prepared += 1

    def renew_acceptances(self) -> None:
        self.renewed += 1

    def remove(self, key: AttemptId) -> None:
        if key in self.stubborn:
            raise PermissionError(13, "Permission denied")
        self.freed += self.logs.pop(key)[1]
        self.trash += 1

    def purge(self, most: int) -> int:
        deleted = min(most, self.trash)
        self.trash -= deleted
        return deleted


class World:
    def __init__(self, state_dir, **limits) -> None:
        self.shelf = Shelf()
        self.free = 10 * GIB
        self.spool_bytes = 0
        self.said: list[str] = []
        self.paused: list[bool] = []
        self.config = Config(
            state_dir=state_dir,
            logs=LogsPart(retention=3600.0, max_total=10_000_000),
            limits=LimitsPart(min_free_disk=GIB),
        )
        self.janitor = Janitor(
            self.config,
            self.shelf,  # type: ignore[arg-type]
            self,
            self.said.append,
            self.paused.append,
            lambda: self.free + self.shelf.freed,
        )


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0)
    return World(tmp_path)


async def test_what_is_old_goes_and_what_is_young_stays(world):
    old, young = world.shelf.put(7200, 10), world.shelf.put(60, 10)
    await world.janitor.look()
    assert set(world.shelf.logs) == {young} and old not in world.shelf.logs
    assert world.shelf.trash == 0


async def test_each_look_sees_to_what_is_accepted(world):
    world.free = 0
    for number in range(1, 3):
        await world.janitor.look()
        assert world.shelf.renewed == number


async def test_very_many_logs_do_not_hold_the_loop(world):
    for _ in range(3 * module.SLICE):
        world.shelf.put(60, 1)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.ensure_future(count())
    await asyncio.sleep(0)
    before, kept = turns, iter(world.shelf.kept())

    def watched():
        for number, entry in enumerate(kept, start=1):
            yield entry
            assert turns - before >= number // module.SLICE

    world.shelf.kept = watched
    await world.janitor.sweep()
    other.cancel()
    assert len(world.shelf.logs) == 3 * module.SLICE


async def test_above_the_total_the_oldest_go_first(world):
    keys = [world.shelf.put(age, 4_000_000) for age in (300, 200, 100, 50)]
    await world.janitor.look()
    assert set(world.shelf.logs) == set(keys[2:])


async def test_logs_that_wait_for_the_server_count_too(world):
    keys = [world.shelf.put(age, 4_000_000) for age in (300, 200)]
    world.spool_bytes = 4_000_000
    await world.janitor.look()
    assert set(world.shelf.logs) == {keys[1]}


async def test_a_log_that_cannot_be_removed_stops_nobody(world, capsys):
    stubborn, old = world.shelf.put(9000, 1), world.shelf.put(8000, 1)
    world.shelf.stubborn.add(stubborn)
    await world.janitor.look()
    assert set(world.shelf.logs) == {stubborn} and old not in world.shelf.logs
    assert "cannot be removed" in capsys.readouterr().out


async def test_below_the_reserve_it_deletes_what_nobody_needs_before_it_complains(world):
    world.free = GIB - 5_000
    keys = [world.shelf.put(age, 4_000) for age in (300, 200, 100)]
    await world.janitor.look()
    assert set(world.shelf.logs) == {keys[2]}
    assert world.said == []


async def test_the_reserve_is_named_once_and_taken_back_with_a_margin(world):
    world.free = int(0.4 * GIB)
    for _ in range(3):
        await world.janitor.look()
    world.free = GIB + 1
    await world.janitor.look()
    assert world.said == ["disk below its reserve: 409.6 MiB free of 1.0 GiB"]
    world.free = 2 * GIB
    await world.janitor.look()
    assert world.said[1:] == [""]
    assert world.paused == []
    assert world.shelf.prepared == 1


async def test_over_the_quota_output_waits_until_the_server_took_enough(world):
    world.spool_bytes = 11_000_000
    await world.janitor.look()
    assert world.paused == [True] and "wait for the server" in world.said[0]
    world.spool_bytes = 9_500_000
    await world.janitor.look()
    assert world.paused == [True]
    world.spool_bytes = 1_000
    await world.janitor.look()
    assert world.paused == [True, False] and world.said[-1] == ""


async def test_other_limits_after_a_reload(world):
    other = world.config.model_copy(update={"limits": LimitsPart(min_free_disk=20 * GIB)})
    world.janitor.adjust(other)
    world.janitor.judge()
    assert "of 20.0 GiB" in world.said[0]


async def test_the_trash_is_emptied_a_little_at_a_time(world):
    world.shelf.trash = 45
    await world.janitor.look()
    assert world.shelf.trash == 0
