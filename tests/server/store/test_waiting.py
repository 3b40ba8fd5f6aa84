"""What waits, who is next, what is given, what expires: on a real database."""

from __future__ import annotations

from typing import Any

import pytest

from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import Demand
from remote_server.store import Store, waiting
from tests.support.databases import sqlite_connection, sqlite_plan
from tests.support.stored import NOW, finish, offered, running, spec, submitted

PLAIN = Demand("default", (), None)


async def test_demands_are_counted(store: Store) -> None:
    await store.submit([spec(), spec(), spec(weight=0.5), spec(labels={"b": "1", "a": "2"})], NOW)
    labelled = Demand("default", (("a", "2"), ("b", "1")), None)
    assert await store.demands() == {
        PLAIN: 2,
        Demand("default", (), 0.5): 1,
        labelled: 1,
    }
    (head,) = await store.heads([labelled], 5)
    await store.assign([(head.job, "a")], NOW)
    assert labelled not in await store.demands()


async def test_counts_in_memory_agree_with_the_database(store: Store) -> None:
    await store.demands(), await store.counts()  # from here on they are followed
    key = await running(store, max_attempts=2, retry_on=["exit"], retry_backoff=0)
    await finish(store, key, 1)
    await submitted(store)
    lost = await running(store, max_attempts=1)
    await store.lose(lost, "gone", NOW)
    lease = await offered(store)
    await store.withdraw(lease.key, "full", NOW)
    await store.request_cancel(await submitted(store), "", NOW)
    await submitted(store, expires_in=1)
    await store.expire_waiting(NOW + 5)
    followed = (await store.demands(), await store.counts())
    store.forget_counts()
    assert (await store.demands(), await store.counts()) == followed
    assert followed[1] == {
        ("default", JobState.QUEUED): 3,
        ("default", JobState.FAILED): 2,
        ("default", JobState.CANCELLED): 1,
    }
    assert followed[0] == {PLAIN: 2}  # the third one waits for its next attempt's time


async def test_heads_are_ranked_by_priority_then_age(store: Store) -> None:
    low = await submitted(store, priority=-1)
    old = await submitted(store)
    young = await submitted(store)
    high = await submitted(store, priority=5, weight=1.0)
    heads = await store.heads([PLAIN, Demand("default", (), 1.0)], 10)
    assert [head.job for head in heads] == [high, old, young, low]
    assert [head.job for head in await store.heads([PLAIN], 2)] == [old, young]


async def test_a_paused_queue_demands_nothing(store: Store) -> None:
    await store.create_queue(QueueCreate(name="q"), NOW)
    await submitted(store, queue="q")
    woken: list[bool] = []
    store.on_commit(lambda commit: woken.append(commit.queued))
    await store.change_queue("q", QueueChange(paused=True))
    assert await store.demands() == {}
    await store.change_queue("q", QueueChange(paused=False))
    assert list(await store.demands()) == [Demand("q", (), None)]
    assert woken == [False, True]


async def test_a_retry_waits_for_its_time(store: Store) -> None:
    key = await running(store, max_attempts=3, retry_on=["exit"], retry_backoff=10)
    outcome = await finish(store, key, 1)
    assert outcome.job_state is JobState.QUEUED
    assert await store.demands() == {}
    assert await store.heads([PLAIN], 5) == []
    assert await store.assign([(key.job, "a")], NOW) == []
    assert await store.next_release() == NOW + 10
    assert await store.release_due(NOW + 9.9) == 0
    assert await store.release_due(NOW + 10) == 1
    assert await store.next_release() is None
    assert await store.demands() == {PLAIN: 1}
    (lease,) = await store.assign([(key.job, "b")], NOW + 10)
    assert lease.key == AttemptId(key.job, 2)
    assert (await store.job(key.job)).not_before is None


async def test_a_retry_that_waits_beyond_a_moment_can_be_let_go(store: Store) -> None:
    key = await running(store, max_attempts=3, retry_on=["exit"], retry_backoff=10)
    await finish(store, key, 1)
    assert await store.release_beyond(NOW + 10) == 0
    assert await store.demands() == {}
    assert await store.release_beyond(NOW + 9.9) == 1
    assert await store.release_beyond(NOW + 9.9) == 0
    assert await store.demands() == {PLAIN: 1}


async def retried(store: Store, backoff: float, now: float = NOW) -> AttemptId:
    """A job that waits for its second attempt."""
    key = await running(store, now=now, max_attempts=2, retry_on=["exit"], retry_backoff=backoff)
    await finish(store, key, 1, now=now, at=now)
    return key


async def test_the_database_is_asked_for_releases_only_when_one_may_be_due(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.release_due(NOW)
    asked: list[object] = []
    read = store._database.read

    async def counted(operation: Any, **more: Any) -> Any:
        asked.append(operation)
        return await read(operation, **more)

    monkeypatch.setattr(store._database, "read", counted)
    for _ in range(50):
        await submitted(store)
        asked.clear()
        assert await store.release_due(NOW) == 0
        assert await store.next_release() is None
        assert asked == []
    await retried(store, 10)
    asked.clear()
    assert await store.release_due(NOW + 9) == 0
    assert await store.next_release() == NOW + 10
    assert asked == []
    assert await store.release_due(NOW + 10) == 1
    assert asked, "the counter counts"
    assert await store.next_release() is None


async def test_the_earliest_release_is_known_whatever_comes_first(store: Store) -> None:
    await store.release_due(NOW)
    await retried(store, 30)
    early = await retried(store, 10)
    await retried(store, 20)
    assert await store.next_release() == NOW + 10
    await store.request_cancel(early.job, "", NOW)
    assert await store.next_release() == NOW + 10, "a look too early does no harm"
    assert await store.release_due(NOW + 10) == 0
    assert await store.next_release() == NOW + 20
    assert await store.release_due(NOW + 35) == 2


async def test_releases_are_known_after_a_restart(database_url: str) -> None:
    store = await Store.open(database_url)
    await retried(store, 10)
    await store.close()
    store = await Store.open(database_url)
    assert await store.next_release() == NOW + 10
    assert await store.release_due(NOW + 10) == 1
    assert await store.release_due(NOW + 10) == 0
    await store.close()


async def test_releases_are_known_after_a_failure(sqlite_store: Store) -> None:
    store = sqlite_store
    key = await retried(store, 10)
    assert await store.next_release() == NOW + 10
    # As when a commit failed, and yet is there.
    sqlite_connection(store).execute("UPDATE jobs SET deferred = 0")
    store.forget_counts()
    assert await store.next_release() is None
    assert [lease.key.job for lease in await store.assign([(key.job, "a")], NOW + 10)] == [key.job]


async def test_a_paused_queue_holds_what_was_released(store: Store) -> None:
    await retried(store, 10)
    await store.change_queue("default", QueueChange(paused=True))
    assert await store.release_due(NOW + 10) == 1
    assert await store.demands() == {}
    await store.change_queue("default", QueueChange(paused=False))
    assert await store.demands() == {PLAIN: 1}


async def test_waiting_too_long_expires(store: Store) -> None:
    short = await submitted(store, expires_in=2)
    long = await submitted(store, expires_in=60)
    await submitted(store)
    assert await store.next_expiry() == NOW + 2
    assert await store.expire_waiting(NOW + 1.9) == []
    assert await store.expire_waiting(NOW + 2) == [short]
    found = await store.job(short)
    assert (found.state, found.end_reason) == (JobState.FAILED, EndReason.EXPIRED)
    assert found.exit_code is None
    assert "expires_in" in (found.end_detail or "")
    assert await store.next_expiry() == NOW + 60
    # A job that has started cannot expire any more, not even between its attempts.
    (lease,) = await store.assign([(long, "a")], NOW)
    from tests.support.stored import started

    await started(store, lease)
    assert (await store.job(long)).expires_at is None


async def test_loads_say_how_busy_queues_are(store: Store) -> None:
    await store.create_queue(QueueCreate(name="empty"), NOW)
    await submitted(store, NOW - 30)
    await submitted(store, NOW - 20)
    await running(store)
    loads = await store.loads(["default", "empty"])
    assert (loads["default"].queued, loads["default"].running) == (2, 1)
    assert loads["default"].oldest == NOW - 30
    assert (loads["empty"].queued, loads["empty"].oldest) == (0, None)


async def test_heads_use_their_index(sqlite_store: Store) -> None:
    found = sqlite_plan(sqlite_store, waiting._HEADS, {"wanted": "x", "count": 1})
    assert "ix_jobs_waiting" in found
    assert "TEMP B-TREE" not in found


async def test_the_oldest_job_that_waits_is_found_by_its_index(sqlite_store: Store) -> None:
    found = sqlite_plan(sqlite_store, waiting._OLDEST, {"in_queue": "default"})
    assert "ix_jobs_oldest" in found, "else all jobs that ever ended in the queue are looked at"
    assert "TEMP B-TREE" not in found
