"""Turns are shared fairly between tokens, and none is lost."""

from __future__ import annotations

import asyncio

from remote_server.web.http.turns import Turns


async def work(turns: Turns, token: str, done: list[str]) -> None:
    async with turns.of(token):
        done.append(token)
        await asyncio.sleep(0)


async def test_tokens_take_turns_however_many_tasks_each_has() -> None:
    turns, done = Turns(1), list[str]()
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(work(turns, "many", done))
        for _ in range(3):
            group.create_task(work(turns, "few", done))
    assert len(done) == 53
    assert done[:7].count("few") == 3, done[:7]


async def test_no_more_than_allowed_work_at_once_and_one_token_may_use_all() -> None:
    turns, most, now = Turns(2), 0, 0

    async def one() -> None:
        nonlocal most, now
        async with turns.of("a"):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(one())
    assert (most, now) == (2, 0)


async def test_a_turn_of_somebody_who_gave_up_goes_to_the_next() -> None:
    turns, done = Turns(1), list[str]()
    turn = turns.of("a")
    await turn.__aenter__()
    waits = asyncio.create_task(work(turns, "b", done))
    given = asyncio.create_task(work(turns, "c", done))
    last = asyncio.create_task(work(turns, "d", done))
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.sleep(0)
    await turn.__aexit__()
    given.cancel()  # it has been given a turn, and has not used it
    await asyncio.wait_for(last, 30)
    assert done == ["d"]
    await asyncio.wait_for(work(turns, "e", done), 30)
