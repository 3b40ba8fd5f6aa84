"""Followers are woken by news of their topic, and never more than allowed follow."""

from __future__ import annotations

import asyncio

from remote_server.web.wakes import Wakes, wait


async def test_news_reach_those_who_follow_the_topic() -> None:
    wakes = Wakes()
    with wakes.follow("a") as a, wakes.follow("a") as also, wakes.follow("b") as b:
        wakes.wake(["a", "nobody"])
        assert (a.is_set(), also.is_set(), b.is_set()) == (True, True, False)
    wakes.wake(["a", "b"])


async def test_closing_wakes_everyone() -> None:
    wakes = Wakes()
    with wakes.follow("a") as a, wakes.follow("b") as b:
        wakes.close()
        assert wakes.closing
        assert a.is_set()
        assert b.is_set()


async def test_waiting_ends_with_news_or_time() -> None:
    event = asyncio.Event()
    assert not await wait(event, 0.01)
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait(event, 20)
