"""The store as a whole: opening, probing, telling, closing."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from remote_server.domain.change_set import ChangeSet
from remote_server.errors import DatabaseUnusable, StoreUnavailable
from remote_server.store import Store, Terms
from remote_server.store.sqlite.database import SKIPPED
from tests.support.databases import unavailable
from tests.support.stored import NOW, finish, running, submitted


async def test_what_was_stored_is_there_after_a_restart(database_url: str) -> None:
    url = database_url
    store = await Store.open(url, Terms("normal"))
    job = await submitted(store)
    await store.close()
    again = await Store.open(url)
    assert (await again.job(job)).id == job
    assert sum((await again.demands()).values()) == 1
    await again.close()
    with pytest.raises(StoreUnavailable):
        await again.job(job)


async def test_a_database_that_is_newer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "server.db"
    await (await Store.open(str(path))).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with pytest.raises(DatabaseUnusable, match="newer remote-server"):
        await Store.open(str(path))


async def test_numbers_of_events_seen_before_a_crash_are_never_used_again(
    sqlite_store: Store, tmp_path: Path
) -> None:
    await submitted(sqlite_store)
    first = await sqlite_store.last_seq()
    # As after a power cut: the former user of the file has not closed it.
    other = await Store.open(str(tmp_path / "server.db"))
    await submitted(other)
    assert await other.last_seq() == first + SKIPPED + 1
    await other.close()


async def test_numbers_go_on_after_a_clean_stop(database_url: str) -> None:
    for expected in (1, 2, 3):
        opened = await Store.open(database_url)
        await submitted(opened)
        assert await opened.last_seq() == expected
        await opened.close()


async def test_commits_are_told(store: Store) -> None:
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    key = await running(store)
    await finish(store, key)
    assert [commit.queued for commit in told] == [True, False, False, False, False]
    assert all(commit.jobs == {key.job} for commit in told)
    assert [bool(commit.ended) for commit in told] == [False, False, False, False, True]
    await store.probe()
    await store.touch("nothing", NOW)
    assert len(told) == 5


async def works(store: Store) -> bool:
    try:
        await store.probe()
    except StoreUnavailable:
        return False
    return True


async def test_counts_are_made_again_after_a_failure(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submitted(store)
    assert sum((await store.demands()).values()) == 1
    monkeypatch.setattr("remote_server.store.postgresql.database.RETRY", 0.01)
    with unavailable(store):
        with pytest.raises(StoreUnavailable):
            await submitted(store)
        with pytest.raises(StoreUnavailable):
            await store.probe()
    async with asyncio.timeout(30):
        while not await works(store):
            await asyncio.sleep(0.005)
    assert sum((await store.demands()).values()) == 1
    await submitted(store)
    assert sum((await store.demands()).values()) == 2
