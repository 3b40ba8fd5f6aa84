"""A thread for flushes: what it tells the loop, and in which order."""

from __future__ import annotations

import asyncio
import threading

from remote_agent.execution.flush_thread import FlushThread


async def test_each_flush_is_made_in_one_thread_and_told_by_the_loop() -> None:
    made_by: list[int] = []
    told: list[tuple[OSError | None, int]] = []
    full = OSError(28, "No space left on device")
    outcomes = iter([None, full, None])
    done = asyncio.Event()

    def flush() -> OSError | None:
        made_by.append(threading.get_ident())
        return next(outcomes)

    def flushed(error: OSError | None) -> None:
        told.append((error, threading.get_ident()))
        done.set()

    thread = FlushThread(flush, flushed)
    for number in range(3):
        done.clear()
        thread.begin()
        async with asyncio.timeout(30):
            await done.wait()
        assert len(told) == number + 1
    here = threading.get_ident()
    assert told == [(None, here), (full, here), (None, here)]
    assert len(set(made_by)) == 1 and here not in made_by


async def test_the_loop_goes_on_meanwhile() -> None:
    goes_on, done = threading.Event(), asyncio.Event()

    def flush() -> None:
        assert goes_on.wait(30)

    thread = FlushThread(flush, lambda _: done.set())
    thread.begin()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not done.is_set()
    goes_on.set()
    async with asyncio.timeout(30):
        await done.wait()


def test_a_loop_that_is_closed_is_told_nothing() -> None:
    goes_on, made = threading.Event(), threading.Semaphore(0)
    told: list[OSError | None] = []

    def flush() -> None:
        assert goes_on.wait(30)
        made.release()

    thread = FlushThread(flush, told.append)

    async def begin() -> None:
        thread.begin()

    asyncio.run(begin())
    goes_on.set()
    assert made.acquire(timeout=30)

    async def once_more() -> None:
        thread.begin()
        async with asyncio.timeout(30):
            while not told:
                await asyncio.sleep(0)

    asyncio.run(once_more())
    assert told == [None], "the thread has outlived the loop"
