"""What is forgotten, what is not, and what becomes of its room on the disk."""

from __future__ import annotations

import time
from typing import Any

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import OldJob
from remote_server.errors import NotFound
from remote_server.store import Store, retention
from tests.support.databases import sqlite_connection, sqlite_plan
from tests.support.stored import NOW, finish, offered, running, started, submitted

OLD = NOW + 100


async def over(store: Store, now: float = NOW, **fields: Any) -> AttemptId:
    key = await running(store, now=now, **fields)
    await finish(store, key, now=now, at=now)
    return key


async def test_old_jobs_are_found_with_their_attempts_page_by_page(store: Store) -> None:
    key = await running(store, max_attempts=2, retry_on=["exit"], retry_backoff=0)
    await finish(store, key, 1)
    await store.release_due(NOW)
    (lease,) = await store.assign([(key.job, "a")], NOW)
    await finish(store, await started(store, lease), 0)
    others = [await over(store) for _ in range(3)]
    found = await store.old_jobs("default", OLD, limit=2)
    assert found == [OldJob(key.job, (key, lease.key)), OldJob(others[0].job, (others[0],))]
    rest = await store.old_jobs("default", OLD, found[-1].id, limit=9)
    assert [job.id for job in rest] == [other.job for other in others[1:]]


async def test_what_is_young_or_has_not_ended_is_not_old(store: Store) -> None:
    await submitted(store)
    await offered(store)
    await running(store)
    late = await running(store)
    await finish(store, late, now=OLD + 1, at=OLD + 1)
    await over(store, OLD + 5)
    assert await store.old_jobs("default", OLD) == []
    assert await store.old_jobs("other", OLD + 99) == []
    assert [job.id for job in await store.old_jobs("default", OLD + 2)] == [late.job]


async def test_nothing_is_left_of_a_forgotten_job(store: Store) -> None:
    await store.counts()
    key = await over(store, idempotency_key="k")
    lost = await running(store)
    await store.lose(lost, "gone", NOW)
    kept = await submitted(store)
    assert await store.forget_jobs([key.job, lost.job, kept, "no such job"]) == 2
    for job in (key.job, lost.job):
        with pytest.raises(NotFound):
            await store.job(job)
        assert await store.attempts_of(job) == []
        assert await store.timeline(job) == []
    assert await store.check() == []
    assert (await store.job(kept)).state is JobState.QUEUED
    assert await store.counts() == {("default", JobState.QUEUED): 1}
    store.forget_counts()
    assert await store.counts() == {("default", JobState.QUEUED): 1}
    assert await submitted(store, idempotency_key="k") != key.job


async def test_events_go_on_after_what_was_forgotten(store: Store) -> None:
    key = await over(store)
    last = await store.last_seq()
    await store.forget_jobs([key.job])
    assert await store.events(0) == []
    assert await store.last_seq() == last, "no number is used again"
    job = await submitted(store)
    (event,) = await store.events(last)
    assert (event.job, event.seq > last) == (job, True)


async def test_it_is_remembered_up_to_which_event_some_are_gone(store: Store) -> None:
    first, second = await over(store), await over(store)
    page = await store.events_page(0, 3)
    assert (len(page.events), page.forgotten) == (3, 0)
    ends = {event.job: event.seq for event in await store.events(0)}
    await store.forget_jobs([second.job])
    page = await store.events_page(0)
    assert (page.forgotten, page.last) == (ends[second.job], ends[first.job])
    assert {event.job for event in page.events} == {first.job}
    await store.forget_jobs([first.job])
    after = await store.events_page(ends[second.job])
    assert (after.events, after.forgotten, after.last) == ([], *[ends[second.job]] * 2)
    assert await store.check() == []


async def test_an_agent_that_comes_back_late_with_a_forgotten_attempt(store: Store) -> None:
    key = await over(store)
    await store.forget_jobs([key.job])
    assert await store.leases([key], "a") == {}
    assert await store.ended_keys([key]) == frozenset()


async def test_a_cancelled_job_that_is_still_held_is_not_forgotten(store: Store) -> None:
    key = await running(store)
    await store.request_cancel(key.job, "enough", NOW)
    assert await store.old_jobs("default", OLD) == []
    assert await store.forget_jobs([key.job]) == 0
    await finish(store, key, None, EndReason.CANCELLED)
    assert await store.forget_jobs([key.job]) == 1


async def test_the_room_on_the_disk_is_used_again(sqlite_store: Store) -> None:
    store = sqlite_store
    sizes = []
    for number in range(4):
        now = NOW + number
        ids = [await submitted(store, now, env={"A": "x" * 2000}) for _ in range(100)]
        for job in ids:
            await store.request_cancel(job, "", now)
        (pages,) = sqlite_connection(store).execute("PRAGMA page_count").fetchone()
        sizes.append(pages)
        assert await store.forget_jobs(ids) == 100
        # What the audit says of them is kept longer.
        assert await store.forget_audit(time.time() + 60) > 100
    assert sizes[3] <= sizes[0] * 1.1


async def test_old_jobs_are_found_by_an_index(sqlite_store: Store) -> None:
    names = ("of_queue", "after", "made_before", "before", "count")
    found = sqlite_plan(sqlite_store, retention._OLD, dict.fromkeys(names, 1))
    assert "ix_jobs_queue" in found
    assert "TEMP B-TREE" not in found
