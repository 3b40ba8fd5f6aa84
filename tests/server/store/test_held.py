"""Members that wait for their turn are kept in memory as the database has them."""

from __future__ import annotations

import time

from remote_server.domain.held_members import Able
from remote_server.domain.model import Waiting
from remote_server.store import Store
from tests.support.grouped import grouped, registered
from tests.support.stored import NOW, finish, started, submitted

ALL = Able(lambda job, demand: True, lambda demand: True)


async def startable(store: Store) -> list[Waiting]:
    found = await store.held_members()
    return found.candidates(None, ALL, NOW, 100_000)


async def test_members_are_read_and_followed(store: Store) -> None:
    assert not await store.held_members()
    await registered(store, ["a", "b"])
    group = await grouped(store, max_parallel=1, spec={"priority": 3, "labels": {}})
    first, second = await store.members(group.id, 9)
    (waiting,) = await startable(store)
    assert (waiting.job, waiting.priority, waiting.demand.agent) == (first.job, 3, "a")
    assert await store.waiting_agents(group.id) == ["a", "b"]
    (lease,) = await store.assign([(first.job, "a")], NOW)
    assert await startable(store) == []
    await finish(store, await started(store, lease))
    assert [one.job for one in await startable(store)] == [second.job]
    store.forget_held()
    assert [one.job for one in await startable(store)] == [second.job]
    await store.request_cancel(second.job, "", NOW)
    assert not await store.held_members()
    store.forget_held()
    assert not await store.held_members()


async def test_another_servers_groups_are_found(database_url: str) -> None:
    store = await Store.open(database_url)
    await registered(store, ["a", "b"])
    group = await grouped(store, max_parallel=1)
    jobs = [(one.job, one.agent) for one in await store.members(group.id, 9)]
    await store.assign(jobs[:1], NOW)
    await store.close()
    again = await Store.open(database_url)
    assert await startable(again) == [], "its limit holds after a restart"
    await again.cancel_group(group.id, "", NOW)
    assert await startable(again) == []
    assert await again.stopped_groups() == [group.id]
    await again.close()


async def test_a_thousand_members_cost_no_more_each_than_ten(store: Store) -> None:
    names = [f"a{number:04}" for number in range(1000)]
    await registered(store, names)
    times = {}
    for count in (100, 1000):
        await store.held_members()
        # Of the processor: a machine that has more to do makes no member dearer.
        begun = time.process_time()
        group = await grouped(store, max_parallel=50)
        jobs = [(one.job, one.agent) for one in await store.members(group.id, count)]
        done = 0
        while done < count:
            found = (await store.held_members()).candidates(None, ALL, NOW, 256)
            pairs = [(one.job, one.demand.agent or "") for one in found]
            leases = await store.assign(pairs[: count - done], NOW)
            assert 0 < len(leases) <= 50
            for lease in leases:
                await finish(store, await started(store, lease), agent=lease.agent)
            done += len(leases)
        times[count] = (time.process_time() - begun) / count
        assert len(jobs) == count
        await store.cancel_group(group.id, "", NOW)
        last = await store.end_members(group.id, NOW)
        while last is not None:
            last = await store.end_members(group.id, NOW, last)
    assert times[1000] < 3 * times[100], times


async def test_ten_thousand_members_that_wait_slow_nobody(store: Store) -> None:
    """They are not among the jobs that are ready."""
    await registered(store, [f"a{number:04}" for number in range(1000)])
    groups = [await grouped(store) for _ in range(10)]
    found = await store.held_members()
    none = Able(lambda job, demand: False, lambda demand: False)
    assert found.candidates(None, none, NOW, 256) == []
    job = await submitted(store)
    begun = time.process_time()
    for _ in range(200):
        assert list((await store.demands()).values()) == [1]
        assert found.candidates({"a0001"}, none, NOW, 256) == []
    assert time.process_time() - begun < 1.0
    assert [one.job for one in await store.heads(list(await store.demands()), 9)] == [job]
    assert sum(group.size for group in groups) == 10_000
