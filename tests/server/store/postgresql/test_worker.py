"""A thread that carries out what the loop hands to it."""

from __future__ import annotations

import asyncio
import threading

from remote_server.store.postgresql.worker import Worker


async def test_jobs_are_taken_over_together_in_their_order() -> None:
    go_on, batches = threading.Event(), list[list[int]]()

    def work(jobs: list[int]) -> None:
        batches.append(jobs)
        go_on.wait(30)

    worker = Worker("test", work, 1000)
    for number in range(20):
        worker.put(number)
    go_on.set()
    await worker.stop()
    assert [number for batch in batches for number in batch] == list(range(20))
    assert len(batches) <= 3, "what waited while the first one was carried out came together"


async def test_callbacks_are_called_in_the_loop_in_their_order() -> None:
    told: list[tuple[int, int]] = []

    def work(jobs: list[int]) -> None:
        for number in jobs:
            worker.tell(lambda number=number: told.append((number, threading.get_ident())))

    worker: Worker[int] = Worker("test", work, 1000)
    for number in range(50):
        worker.put(number)
        if number % 7 == 0:
            await asyncio.sleep(0)
    await worker.stop()
    assert told == [(number, threading.get_ident()) for number in range(50)]


async def test_only_so_many_wait() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), list[int]()

    def work(jobs: list[int]) -> None:
        begun.set()
        go_on.wait(30)
        done.extend(jobs)

    worker: Worker[int] = Worker("test", work, 3)
    assert worker.put(0)
    await asyncio.to_thread(begun.wait, 30)
    assert [worker.put(number) for number in range(1, 6)] == [True, True, True, False, False]
    go_on.set()
    await worker.stop()
    assert done == [0, 1, 2, 3], "the end of it is no job that could be refused"
