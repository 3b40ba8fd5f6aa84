"""A server starts on an older copy: numbers are never given twice, nothing is given at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.events import Recovered, Withdrawn
from remote_server.store import Store
from remote_server.store.restoration import MOST_NUMBERS, Opening
from tests.support.databases import copied
from tests.support.stored import NOW, finish, offered, running, submitted

LATER = NOW + 5000.0
GRACE = 120.0


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = await Store.open(url)
    try:
        yield store
        assert await store.check() == []
    finally:
        await store.close()


@asynccontextmanager
async def restored(store: Store, path: Path, now: float = LATER) -> AsyncIterator[Store]:
    """A copy of the database, taken into use."""
    copy = await copied(store, path, f"copy-{now}")
    async with opened(copy) as found:
        assert (await found.begin_life(0, now, GRACE)).restored
        yield found


async def test_an_ordinary_start_changes_nothing(store: Store) -> None:
    job = await submitted(store)
    assert await store.begin_life(0, NOW, GRACE) == Opening(1, False)
    assert await store.begin_life(1, NOW, GRACE) == Opening(2, False)
    # Another data directory: the database may be ahead of it.
    assert await store.begin_life(0, NOW, GRACE) == Opening(3, False)
    assert not await store.asks_agents()
    (lease,) = await store.assign([(job, "a")], NOW)
    assert lease.key.number == 1


async def test_a_database_that_counts_less_than_its_directory_is_older(store: Store) -> None:
    await submitted(store)
    assert await store.begin_life(7, NOW, GRACE) == Opening(8, True, 1)
    assert await store.asks_agents()
    assert await store.begin_life(8, NOW, GRACE) == Opening(9, False)
    assert await store.asks_agents(), "it still does not know"


async def test_every_open_job_waits_and_gets_new_numbers(store: Store, tmp_path: Path) -> None:
    waiting = await submitted(store, expires_in=60.0)
    offer = await offered(store)
    held = await running(store)
    over = await running(store)
    await finish(store, over)
    async with restored(store, tmp_path) as copy:
        assert await copy.demands() == {}
        assert await copy.release_due(LATER + GRACE - 1) == 0
        assert await copy.expire_waiting(LATER + GRACE - 1) == []
        assert (await copy.job(offer.key.job)).state is JobState.QUEUED
        assert (await copy.job(held.job)).state is JobState.RUNNING
        (attempt,) = await copy.attempts_of(offer.key.job)
        assert attempt.state is AttemptState.WITHDRAWN
        assert await copy.release_due(LATER + GRACE) == 2
        leases = await copy.assign([(offer.key.job, "a")], LATER + GRACE)
        assert [lease.key.number for lease in leases] == [int(LATER) + 1]
        notes = {job: [n.what for n in await copy.timeline(job)] for job in (waiting, over.job)}
        assert notes[waiting] == ["queued", "restored"]
        assert "restored" not in notes[over.job]


async def test_two_lives_of_one_copy_share_no_number(store: Store, tmp_path: Path) -> None:
    job = await submitted(store)
    numbers = set()
    for now in (LATER, LATER + 1000):
        async with restored(store, tmp_path, now) as copy:
            await copy.release_due(now + GRACE)
            (lease,) = await copy.assign([(job, "a")], now + GRACE)
            numbers.add(lease.key.number)
    assert len(numbers) == 2


async def test_a_clock_that_is_set_back_gives_no_smaller_number(store: Store) -> None:
    job = await submitted(store)
    await store.begin_life(1, LATER, 0.0)
    await store.begin_life(9, NOW, 0.0)
    await store.release_due(LATER)
    (lease,) = await store.assign([(job, "a")], LATER)
    assert lease.key.number == int(LATER) + MOST_NUMBERS + 1


async def test_skipped_numbers_are_no_tries(store: Store) -> None:
    job = await submitted(store, max_attempts=2, retry_on=["exit"], retry_backoff=0.0)
    await store.begin_life(1, NOW, 0.0)
    for number in (1, 2):
        await store.release_due(NOW + 10 * number)
        (lease,) = await store.assign([(job, "a")], NOW + 10 * number)
        await finish(store, lease.key, code=1, now=NOW + 10 * number)
    assert (await store.job(job)).state is JobState.FAILED
    assert len(await store.attempts_of(job)) == 2


async def test_no_other_attempt_before_agents_had_their_time(store: Store, tmp_path: Path) -> None:
    key = await running(store, max_attempts=3, retry_backoff=1.0, retry_on=["exit"])
    async with restored(store, tmp_path) as copy:
        await finish(copy, key, code=1, now=LATER + 1)
        assert (await copy.job(key.job)).not_before == LATER + GRACE


async def test_a_number_that_was_used_is_not_offered_again(store: Store) -> None:
    lease = await offered(store, max_attempts=1, retry_on=["lost"])
    await store.record("a", Withdrawn(lease.key, "it has run", used=True), NOW)
    (again,) = await store.assign([(lease.key.job, "a")], NOW)
    assert again.key.number == 2
    await store.lose(again.key, "silent", NOW)
    assert (await store.job(again.key.job)).state is JobState.FAILED


@pytest.mark.parametrize("number", [1, 2])
async def test_an_attempt_that_is_not_known_goes_on(
    store: Store, tmp_path: Path, number: int
) -> None:
    job = await submitted(store, max_attempts=2, retry_on=["exit"])
    async with restored(store, tmp_path) as copy:
        (lease,) = (await copy.leases([AttemptId(job, number)], "b")).values()
        assert (lease.may_return, lease.unknown, lease.agent) == (True, True, "b")
        await copy.record("b", Recovered(lease.key), LATER)
        await copy.record("b", Recovered(lease.key), LATER)
        found = await copy.job(job)
        assert (found.state, found.attempt, found.agent) == (JobState.RUNNING, number, "b")
        assert await copy.release_due(LATER + GRACE) == 0
        await finish(copy, lease.key, code=1, agent="b", now=LATER + 1)
        # What ran before counts as tries.
        assert (await copy.job(job)).state is (JobState.QUEUED if number == 1 else JobState.FAILED)


async def test_a_wish_to_cancel_is_not_forgotten(store: Store, tmp_path: Path) -> None:
    lease = await offered(store)
    await store.request_cancel(lease.key.job, "by a user", NOW)
    async with restored(store, tmp_path) as copy:
        found = await copy.job(lease.key.job)
        assert (found.state, found.end_reason) == (JobState.CANCELLED, EndReason.CANCELLED)
        assert [n.what for n in await copy.timeline(lease.key.job)][-1] == "cancelled"
        assert not await copy.asks_agents()
