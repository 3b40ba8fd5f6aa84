"""Readiness is asked by many and tried by one."""

from __future__ import annotations

import asyncio

import pytest

from remote_server.errors import StoreUnavailable
from remote_server.web import readiness
from remote_server.web.readiness import GOOD_FOR, Readiness


async def test_one_probe_answers_everybody_for_a_while() -> None:
    now, probes = [100.0], [0]

    async def probe() -> None:
        probes[0] += 1
        await asyncio.sleep(0.01)

    asked = Readiness(lambda: now[0])
    assert await asyncio.gather(*(asked.fault(probe) for _ in range(50))) == [None] * 50
    assert await asked.fault(probe) is None
    assert probes == [1]
    now[0] += GOOD_FOR + 0.1
    assert await asked.fault(probe) is None
    assert probes == [2]


async def test_whoever_leaves_takes_the_answer_from_nobody() -> None:
    done = asyncio.Event()
    asked = Readiness()

    async def probe() -> None:
        await done.wait()
        raise StoreUnavailable("the disk is full")

    first = asyncio.create_task(asked.fault(probe))
    second = asyncio.create_task(asked.fault(probe))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    done.set()
    assert await second == "nothing can be stored: the disk is full"
    assert first.cancelled()


async def test_a_database_that_does_not_answer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PROBE_TIMEOUT", 0.05)

    async def probe() -> None:
        await asyncio.Event().wait()

    assert "did not answer within" in (await Readiness().fault(probe) or "")
