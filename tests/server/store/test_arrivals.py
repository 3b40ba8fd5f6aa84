"""Jobs that are being stored may be given by the commit that stores them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from remote_protocol.api.queues import QueueChange
from remote_server.domain.model import Demand, Lease, Waiting
from remote_server.errors import UnknownQueue
from remote_server.store import Store
from remote_server.store.arrivals import FEW, Arrivals, Places
from tests.support.stored import NOW, spec, submitted

PLAIN = Demand("default", (), None)


class Found:
    """Places that nobody asks for again."""

    at = 0.0

    def __init__(self, agents: dict[str, str]) -> None:
        self.agents: Mapping[str, str] = agents

    def written(self, leases: Sequence[Lease]) -> None:
        raise AssertionError(leases)

    stored = written


def waiting(job: str, priority: int = 0) -> Waiting:
    return Waiting(job, priority, PLAIN)


def test_who_listens_hears_of_few_jobs_and_not_of_many() -> None:
    arrivals = Arrivals()
    heard: list[Sequence[Waiting]] = []
    arrivals.on_arrival(heard.append)
    arrivals.expect([waiting("a"), waiting("b")])
    assert [one.job for one in arrivals] == ["a", "b"]
    arrivals.expect([waiting(str(number)) for number in range(FEW + 1)])
    assert [[one.job for one in jobs] for jobs in heard] == [["a", "b"]]
    arrivals.forget(["b", "c"])
    assert [one.job for one in arrivals] == ["a"]
    arrivals.forget(["a"])
    assert not arrivals


def test_one_with_a_place_is_not_among_those_that_wait() -> None:
    arrivals = Arrivals()
    places: Places = Found({"b": "agent"})
    arrivals.on_arrival(lambda jobs: places if len(jobs) > 1 else None)
    assert arrivals.expect([waiting("a")]) is None
    assert arrivals.expect([waiting("b"), waiting("c")]) is places
    assert [one.job for one in arrivals] == ["a", "c"]


async def test_they_are_among_those_that_wait_in_their_rank(store: Store) -> None:
    old, urgent = await submitted(store), await submitted(store, priority=5)
    seen: list[tuple[Sequence[str], list[str]]] = []
    looks: list[asyncio.Task[None]] = []

    async def look(jobs: Sequence[Waiting]) -> None:
        assert await store.demands() == {PLAIN: 3} or len(seen) == 1
        heads = await store.heads([PLAIN], 9)
        seen.append(([one.job for one in jobs], [one.job for one in heads]))

    store.on_arrival(lambda jobs: looks.append(asyncio.ensure_future(look(jobs))))
    middle = await submitted(store, priority=3)
    await asyncio.gather(*looks)
    ((told, heads),) = seen
    assert told == [middle]
    assert heads == [urgent, middle, old], "each once, those that were stored meanwhile too"
    assert [one.job for one in await store.heads([PLAIN], 9)] == heads


async def test_one_that_is_stored_while_others_are_read_keeps_its_rank(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await submitted(store)
    await store.demands()
    read, looks = store._database.read, []

    async def late(*given: Any, **more: Any) -> Any:
        result = await read(*given, **more)
        # Its commit is heard of before this goes on.
        await coming
        return result

    def look(_: Sequence[Waiting]) -> None:
        monkeypatch.setattr(store._database, "read", late)
        looks.append(asyncio.ensure_future(store.heads([PLAIN], 9)))

    store.on_arrival(look)
    coming = asyncio.ensure_future(submitted(store, priority=1))
    urgent = await coming
    (heads,) = await asyncio.gather(*looks)
    assert [one.job for one in heads] == [urgent, old]


async def test_one_is_assigned_behind_what_stores_it(store: Store) -> None:
    given: list[asyncio.Task[object]] = []

    async def assign(jobs: Sequence[Waiting]) -> object:
        return await store.assign([(one.job, "a") for one in jobs], NOW)

    store.on_arrival(lambda jobs: given.append(asyncio.ensure_future(assign(jobs))))
    job = await submitted(store, env={"A": "b"})
    (leases,) = await asyncio.gather(*given)
    assert [(lease.key.job, lease.spec) for lease in leases] == [(job, spec(env={"A": "b"}))]  # type: ignore[attr-defined]
    assert (await store.job(job)).agent == "a"
    assert await store.demands() == {}


async def test_one_that_is_not_stored_is_given_to_nobody(store: Store) -> None:
    given: list[asyncio.Task[object]] = []

    async def assign(jobs: Sequence[Waiting]) -> object:
        return await store.assign([(one.job, "a") for one in jobs], NOW)

    store.on_arrival(lambda jobs: given.append(asyncio.ensure_future(assign(jobs))))
    with pytest.raises(UnknownQueue):
        await submitted(store, queue="nowhere")
    first = await submitted(store, idempotency_key="once")
    assert await submitted(store, idempotency_key="once") == first
    refused, leases, repeated = await asyncio.gather(*given)
    assert (refused, repeated) == ([], [])
    assert len(leases) == 1  # type: ignore[arg-type]
    assert await store.demands() == {}
    assert not store.arrivals


async def test_those_of_a_paused_queue_wait(store: Store) -> None:
    await store.change_queue("default", QueueChange(paused=True))
    asked: list[asyncio.Task[dict[Demand, int]]] = []
    store.on_arrival(lambda _: asked.append(asyncio.ensure_future(store.demands())))
    await submitted(store)
    assert await asyncio.gather(*asked) == [{}]
