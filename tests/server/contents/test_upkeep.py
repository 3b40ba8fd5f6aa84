"""What is kept no longer: old contents, uploads that stand still, files nobody knows of."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

import pytest
from sqlalchemy import select

from remote_server.contents import ContentUpkeep, LocalContents
from remote_server.contents.ports import PartKey
from remote_server.store import Store
from remote_server.store.schema import job_contents
from tests.server.contents.test_uploads import ANNE, DATA, LIMITS, named, send, uploads
from tests.server.store.test_contents import need
from tests.support.stored import NOW, finish, running


async def test_old_ones_go(store: Store, kept: LocalContents) -> None:
    to = uploads(store, kept)
    await send(to, DATA)
    assert await ContentUpkeep(to, lambda: NOW + LIMITS.ttl - 1).look() == 0
    assert await ContentUpkeep(to, lambda: NOW + LIMITS.ttl + 1).look() == len(DATA)
    assert await kept.kept() == [] and not (await to.look(named(DATA), ANNE)).complete


async def test_uploads_that_stand_still(store: Store, kept: LocalContents) -> None:
    to = uploads(store, kept)
    await to.receive(named(DATA), 100_000, 0, DATA[:10], ANNE)
    now = time.time()
    await ContentUpkeep(to, lambda: now).look()
    assert kept.length(PartKey(named(DATA), ANNE.id)) == 10
    await ContentUpkeep(to, lambda: now + LIMITS.upload_ttl + 60).look()
    assert kept.parts() == []
    await send(to, DATA)


async def test_files_of_which_nothing_is_known(store: Store, kept: LocalContents) -> None:
    to = uploads(store, kept)
    await send(to, DATA)
    orphan = PartKey("e" * 64, ANNE.id)
    kept.append(orphan, 0, memoryview(b"x"))
    await kept.finish(orphan)
    assert await ContentUpkeep(to, lambda: NOW).prune() == 1
    assert await kept.kept() == [named(DATA)]


async def test_the_loop(store: Store, kept: LocalContents) -> None:
    to = uploads(store, kept, ttl=0.02)
    data = os.urandom(100)
    await send(to, data)
    task = asyncio.create_task(ContentUpkeep(to, lambda: NOW + 1).run())
    try:
        async with asyncio.timeout(20):
            while await kept.kept():
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_needs_go_faster_than_they_come(
    store: Store, kept: LocalContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few jobs with many files have more of them than one page, and are forgotten with time."""
    monkeypatch.setattr("remote_server.store.contents._PAGE", 2)
    to = uploads(store, kept)
    await send(to, DATA)
    keys = [await running(store) for _ in range(7)]
    for key in keys:
        await need(store, key.job, named(DATA))
        await finish(store, key)
    await store.forget_jobs([key.job for key in keys])
    await ContentUpkeep(to, lambda: NOW).look()
    assert not await store.clear_content_needs()
    reader = store._database
    left = await reader.read(lambda database: database.all(select(job_contents.c.job)))
    assert left == []
