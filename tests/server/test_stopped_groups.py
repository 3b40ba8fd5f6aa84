"""The loop that ends the members of stopped groups: real store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from remote_server import stopped_groups as module
from remote_server.domain.groups import Group
from remote_server.errors import StoreUnavailable
from remote_server.stopped_groups import StoppedGroups
from remote_server.store import Store, Terms
from remote_server.store import groups as store_groups
from tests.support.grouped import counted, grouped, registered
from tests.support.stored import finish, started


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, Terms("normal"))
    yield opened
    await opened.close()


async def running(store: Store) -> asyncio.Task[None]:
    loop = StoppedGroups(store, time.time)
    store.on_commit(loop.committed)
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(0)
    return task


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def until(store: Store, group: Group, wanted: Callable[[Group], bool]) -> Group:
    deadline = time.monotonic() + 30
    while not wanted(found := await store.group(group.id)):
        assert time.monotonic() < deadline, counted(found)
        await asyncio.sleep(0.005)
    return found


async def test_a_halted_group_loses_what_has_not_started(store: Store) -> None:
    await registered(store, ["a", "b", "c"])
    task = await running(store)
    group = await grouped(store, time.time(), halt_on_failures=1)
    job = (await store.members(group.id, 1))[0].job
    (lease,) = await store.assign([(job, "a")], time.time())
    await finish(store, await started(store, lease), 1)
    found = await until(store, group, lambda group: group.ended_at is not None)
    assert counted(found) == {"failed": 1, "cancelled": 2}
    await ended(task)


async def test_what_a_restart_interrupted_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_groups, "BATCH", 2)
    await registered(store, [f"a{number}" for number in range(9)])
    group = await grouped(store, time.time())
    await store.cancel_group(group.id, "", time.time())
    await store.end_members(group.id, time.time())
    assert counted(await store.group(group.id)) == {"queued": 7, "cancelled": 2}
    task = await running(store)
    await until(store, group, lambda group: group.ended_at is not None)
    await ended(task)


async def test_it_outlasts_an_outage_of_the_database(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.01)
    await registered(store, ["a"])
    task = await running(store)
    group = await grouped(store, time.time())
    tries = 0
    real: Callable[..., Awaitable[str | None]] = store.end_members

    async def away(*arguments: object) -> str | None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreUnavailable("away")
        return await real(*arguments)

    monkeypatch.setattr(store, "end_members", away)
    await store.cancel_group(group.id, "", time.time())
    await until(store, group, lambda group: group.ended_at is not None)
    assert tries >= 3
    await ended(task)
