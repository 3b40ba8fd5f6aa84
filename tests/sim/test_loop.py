"""The event loop of simulated processes runs what real asyncio gives it, by its own clock."""

from __future__ import annotations

import asyncio

import pytest

from tests.sim.loop import SimulatedLoop


def test_sleeps_end_when_their_time_has_come():
    loop, woken = SimulatedLoop(100.0), []

    async def work() -> None:
        async with asyncio.timeout(10):
            await asyncio.sleep(3)
            woken.append(asyncio.get_running_loop().time())

    task = loop.create_task(work())
    loop.run()
    assert loop.due == 103.0
    loop.advance(102.9)
    assert not woken
    loop.advance(104.0)
    assert woken == [104.0] and task.done() and loop.due is None


def test_a_timeout_comes_by_its_clock():
    loop = SimulatedLoop()

    async def work() -> str:
        try:
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        except TimeoutError:
            return "late"
        return "never"

    task = loop.create_task(work())
    loop.run()
    loop.advance(5.0)
    assert task.result() == "late"


def test_a_dropped_process_does_nothing_more_but_clean_up():
    loop, done = SimulatedLoop(), []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
            done.append("woken")
        finally:
            done.append("cleaned up")

    loop.create_task(work())
    loop.run()
    loop.drop()
    loop.advance(10.0)
    assert done == ["cleaned up"]


def test_what_fails_where_nobody_waits_is_heard():
    loop = SimulatedLoop()

    def fail() -> None:
        raise ValueError("a bug")

    loop.call_soon(fail)
    with pytest.raises(ValueError, match="a bug"):
        loop.run()


def test_work_without_end_is_a_failure():
    loop = SimulatedLoop()

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    loop.create_task(spin())
    with pytest.raises(AssertionError, match="without end"):
        loop.run()
    loop.faults.clear()
