"""What is dear to read is read seldom."""

from __future__ import annotations

import asyncio

from remote_server.queries.memo import SHARE, Memo


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.reads = 0

    def __call__(self) -> float:
        return self.now

    async def read(self) -> int:
        self.reads += 1
        self.now += 0.5
        await asyncio.sleep(0)
        return self.reads


async def test_it_is_kept_for_as_long_as_it_is_dear() -> None:
    clock = Clock()
    memo = Memo(clock.read, now=clock)
    assert await memo.get() == 1
    clock.now += SHARE * 0.5 - 0.1
    assert await memo.get() == 1
    clock.now += 0.2
    assert await memo.get() == 2


async def test_many_who_look_at_once_read_it_once() -> None:
    clock = Clock()
    memo = Memo(clock.read, now=clock)
    assert await asyncio.gather(*(memo.get() for _ in range(5))) == [1] * 5


async def test_what_is_not_worth_keeping_is_read_each_time() -> None:
    clock = Clock()
    memo = Memo(clock.read, keep=lambda _: False, now=clock)
    assert [await memo.get(), await memo.get()] == [1, 2]


async def test_something_cheap_is_kept_for_the_least_time() -> None:
    clock = Clock()

    async def read() -> int:
        clock.reads += 1
        return clock.reads

    memo = Memo(read, least=2.0, now=clock)
    assert await memo.get() == 1
    clock.now += 1.9
    assert await memo.get() == 1
    clock.now += 0.2
    assert await memo.get() == 2
