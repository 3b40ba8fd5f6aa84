"""The dispatcher is woken by commits, by links and, slowly, by time."""

from __future__ import annotations

import asyncio

from remote_server.dispatch_signal import DispatchSignal
from remote_server.domain.change_set import ChangeSet


def quiet() -> DispatchSignal:
    signal = DispatchSignal()
    signal.awake = signal.everything = False
    return signal


async def test_at_first_everything_is_looked_at() -> None:
    signal = DispatchSignal()
    await signal.wait(3600)
    assert signal.everything


async def test_a_waiter_is_woken_by_a_link_and_by_ready_jobs() -> None:
    for wake, agents in (
        (lambda signal: signal.wake("a"), {"a"}),
        (lambda signal: signal.committed(ChangeSet(queued=True)), set()),
    ):
        signal = quiet()
        waits = asyncio.ensure_future(signal.wait(3600))
        await asyncio.sleep(0)
        signal.committed(ChangeSet(jobs={"j"}))
        await asyncio.sleep(0)
        assert not waits.done(), "nothing waits"
        wake(signal)
        await waits
        assert (signal.awake, signal.agents, signal.everything) == (True, agents, False)


async def test_what_happens_before_the_wait_is_not_missed() -> None:
    signal = quiet()
    signal.wake("a")
    await signal.wait(3600)


async def test_time_makes_everything_stale() -> None:
    signal = quiet()
    await signal.wait(0.001)
    assert signal.everything and signal.awake


async def test_a_wait_lasts_as_long_as_it_says_whatever_former_ones_said() -> None:
    signal, loop = quiet(), asyncio.get_running_loop()

    async def woken_at_once(seconds: float) -> None:
        loop.call_soon(signal.wake)
        await signal.wait(seconds)
        assert not signal.everything
        signal.awake = False

    await woken_at_once(0.001)
    began = loop.time()
    await signal.wait(0.05)
    assert signal.everything and loop.time() - began >= 0.05
    signal.awake = signal.everything = False
    await woken_at_once(3600)
    await signal.wait(0.001)
    assert signal.everything
