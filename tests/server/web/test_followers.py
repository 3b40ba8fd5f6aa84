"""Followers are woken by changes of their topic, and never more than allowed follow."""

from __future__ import annotations

import asyncio

from remote_server.domain.change_set import ChangeSet
from remote_server.web.followers import TIMELINE, Followers, wait


async def test_changes_reach_those_who_follow_the_topic() -> None:
    followers = Followers()
    with followers.follow("a") as a, followers.follow("a") as also, followers.follow("b") as b:
        followers.notify(["a", "nobody"])
        assert (a.is_set(), also.is_set(), b.is_set()) == (True, True, False)
    followers.notify(["a", "b"])


async def test_closing_notifies_everyone() -> None:
    followers = Followers()
    with followers.follow("a") as a, followers.follow("b") as b:
        followers.close()
        assert followers.closing
        assert a.is_set()
        assert b.is_set()


async def test_waiting_ends_with_a_change_or_time() -> None:
    event = asyncio.Event()
    assert not await wait(event, 0.01)
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait(event, 20)


async def test_a_commit_notifies_the_followers_of_its_jobs_only() -> None:
    followers = Followers()
    with (
        followers.follow("a") as a,
        followers.follow("b") as b,
        followers.follow(TIMELINE) as everything,
    ):
        followers.committed(ChangeSet(tokens={"t"}))
        assert not everything.is_set()
        followers.committed(ChangeSet(jobs={"a"}))
        assert (a.is_set(), b.is_set(), everything.is_set()) == (True, False, True)
