"""`remote_server.hub.recovery`: probes until database and logs work again, says so once."""

from __future__ import annotations

import asyncio

from remote_server.errors import StoreUnavailable
from remote_server.hub.recovery import Recovery
from tests.support.live_hub import until
from tests.support.memory_logs import MemoryLogs


class Probes:
    """A store that fails a number of times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked = 0

    async def probe(self) -> None:
        self.asked += 1
        if self.asked <= self.failures:
            raise StoreUnavailable("away")


async def test_it_says_so_when_the_database_works_again() -> None:
    done: list[int] = []
    probes = Probes(3)
    recovery = Recovery(probes, MemoryLogs(), lambda: done.append(1), pause=0)
    recovery.begin()
    recovery.begin()
    await until(lambda: done)
    assert (probes.asked, done) == (4, [1])
    recovery.begin()
    await until(lambda: len(done) == 2)


async def test_it_waits_for_the_logs_too() -> None:
    done: list[int] = []
    probes = Probes(0)
    logs = MemoryLogs()
    logs.fault = "the disk is full"
    recovery = Recovery(probes, logs, lambda: done.append(1), pause=0)
    recovery.begin()
    await until(lambda: probes.asked > 3)
    assert not done
    logs.fault = ""
    await until(lambda: done)


async def test_it_can_be_stopped() -> None:
    done: list[int] = []
    probes = Probes(10**9)
    recovery = Recovery(probes, MemoryLogs(), lambda: done.append(1), pause=0)
    recovery.stop()
    recovery.begin()
    await until(lambda: probes.asked)
    recovery.stop()
    await asyncio.sleep(0)
    asked = probes.asked
    for _ in range(5):
        await asyncio.sleep(0)
    assert (probes.asked, done) == (asked, [])
