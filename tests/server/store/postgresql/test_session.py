"""The right to write: kept over cuts, lost to others, and never held by two."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from remote_server.errors import StoreUnavailable
from remote_server.store import Store, Terms
from remote_server.store.postgresql.database import PostgresDatabase
from remote_server.store.postgresql.session import SKIPPED, RightLost
from tests.support.databases import server
from tests.support.postgresql import database_of
from tests.support.stored import running, submitted


def session_of(store: Store) -> Any:
    assert isinstance(store._database, PostgresDatabase)
    return store._database._session


async def eventually(work: Any) -> Any:
    """The result of a call once the database is reached again."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await work()
            except StoreUnavailable:
                await asyncio.sleep(0.02)


async def refused(store: Store, lost: list[Exception], match: str) -> None:
    """The store says so as soon as the former session is over, and for good."""
    async with asyncio.timeout(20):
        while not lost:
            with pytest.raises(StoreUnavailable):
                await submitted(store)
            await asyncio.sleep(0.01)
    with pytest.raises(StoreUnavailable, match=match):
        await submitted(store)
    assert [type(error) for error in lost] == [RightLost]


async def test_a_cut_connection_is_replaced_without_anybody_noticing(
    store: Store, url: str
) -> None:
    back: list[bool] = []
    store.on_reconnect(lambda: back.append(True))
    job = await submitted(store)
    for _ in range(3):
        server().cut(database_of(url))
        assert (await eventually(lambda: store.job(job))).id == job
        server().cut(database_of(url))
        await eventually(lambda: submitted(store))
    assert len(back) >= 3, "everybody hears that what was not on the disk may be gone"
    assert sum((await store.counts()).values()) >= 4


async def test_numbers_of_events_are_skipped_after_a_cut(store: Store, url: str) -> None:
    await submitted(store)
    before = await store.last_seq()
    server().cut(database_of(url))
    await eventually(lambda: submitted(store))
    assert await store.last_seq() > before + SKIPPED


async def test_one_that_lost_its_right_to_another_writes_no_more(store: Store, url: str) -> None:
    lost: list[Exception] = []
    store.on_loss(lost.append)
    job = await submitted(store)
    waited: list[bool] = []
    other = asyncio.ensure_future(Store.open(url, Terms(waits=lambda: waited.append(True))))
    while not waited:
        await asyncio.sleep(0.01)
    assert not other.done()
    # The first one is cut off, and does not come back before the other one has the lock.
    store._database._tried = 1e18  # type: ignore[attr-defined]
    server().cut(database_of(url))
    taken = await other
    store._database._tried = 0.0  # type: ignore[attr-defined]
    await refused(store, lost, "another server")
    assert (await taken.job(job)).id == job
    await taken.close()


async def test_one_that_missed_another_server_writes_no_more(store: Store, url: str) -> None:
    """The other one has ended already: but what this one remembers is not what there is."""
    lost: list[Exception] = []
    store.on_loss(lost.append)
    await submitted(store)
    store._database._tried = 1e18  # type: ignore[attr-defined]
    server().cut(database_of(url))
    other = await Store.open(url)
    await running(other)
    await other.close()
    store._database._tried = 0.0  # type: ignore[attr-defined]
    await refused(store, lost, "has worked with")


async def test_a_database_that_became_another_copy_is_not_written(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Exception] = []
    store.on_loss(lost.append)
    monkeypatch.setattr(session_of(store), "_identity", "another/copy/1")
    server().cut(database_of(url))
    await refused(store, lost, "another copy")


async def test_durability_is_what_was_asked_for(store: Store) -> None:
    seen: list[tuple[str, str]] = []

    def look(name: str) -> Any:
        def operation(tx: Any) -> None:
            ((value,),) = tx.plain("SHOW synchronous_commit")
            seen.append((name, value))

        return operation

    write = store._database.write
    await write(look("strict"))
    await write(look("relaxed"), relaxed=True)
    await asyncio.gather(write(look("both"), relaxed=True), write(look("both")))
    assert seen[:2] == [("strict", "on"), ("relaxed", "off")]
    assert all(value == "on" for name, value in seen if name == "both") or len(seen) == 4
    await write(look("strict"))
    assert seen[-1] == ("strict", "on"), "only that transaction does not wait"
