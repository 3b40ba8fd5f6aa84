"""Queues on a real database."""

from __future__ import annotations

import pytest

from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_protocol.messages import Hello, Settings
from remote_server.errors import Conflict, NotFound
from remote_server.store import Store
from tests.support.stored import NOW, finish, started, submitted


async def test_the_default_queue_is_always_there(store: Store) -> None:
    assert [(queue.name, queue.default) for queue in await store.queues()] == [("default", True)]
    with pytest.raises(Conflict, match="is the default one, to which jobs go that name no queue"):
        await store.delete_queue("default")


async def test_queues_are_made_and_edited(store: Store) -> None:
    made = await store.create_queue(
        QueueCreate(name="big", description="d", log_retention=60, log_max_total=1000), NOW
    )
    assert await store.queue("big") == made
    with pytest.raises(Conflict, match="already; change it with: remotectl queue edit big"):
        await store.create_queue(QueueCreate(name="big"), NOW)
    changed = await store.change_queue("big", QueueChange(paused=True, log_retention=None))
    assert changed == await store.queue("big")
    assert (changed.paused, changed.description) == (True, "d")
    assert (changed.log_retention, changed.log_max_total) == (None, 1000)
    kept = await store.change_queue("big", QueueChange(job_retention=90))
    assert (kept.job_retention, kept.log_max_total) == (90, 1000)
    assert (await store.change_queue("big", QueueChange())).job_retention == 90
    with pytest.raises(NotFound, match="no queue 'x'"):
        await store.change_queue("x", QueueChange())
    with pytest.raises(NotFound):
        await store.queue("x")


async def test_a_queue_in_use_is_not_deleted(store: Store) -> None:
    await store.create_queue(QueueCreate(name="q"), NOW)
    job = await submitted(store, queue="q")
    with pytest.raises(Conflict, match="jobs that have not ended"):
        await store.delete_queue("q")
    (lease,) = await store.assign([(job, "a")], NOW)
    key = await started(store, lease)
    with pytest.raises(Conflict, match="jobs that have not ended"):
        await store.delete_queue("q")
    await finish(store, key)
    hello = Hello(
        oldest=1,
        newest=1,
        installation="i",
        session="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        agent_version="1",
        settings=Settings(queues=["q"]),
    )
    token = await store.create_token("agent", "rat", "host", NOW, agent="host", queues=("q",))
    await store.bump_epoch("host", hello, "", NOW, token)
    with pytest.raises(Conflict, match=r"served by agents \(host\)"):
        await store.delete_queue("q")
    await store.delete_agent("host", NOW)
    await store.delete_queue("q")
    assert [queue.name for queue in await store.queues()] == ["default"]
    assert (await store.job(job)).spec.queue == "q"
