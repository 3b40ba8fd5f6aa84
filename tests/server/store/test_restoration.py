"""A server starts on an older copy: what may have run since is not started again by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.changes import Accepted, Lost
from remote_server.domain.model import Job
from remote_server.store import Store
from remote_server.store.restoration import MOST_NUMBERS, Opening
from tests.support.databases import copied
from tests.support.stored import NOW, finish, offered, running, submitted

LATER = NOW + 5000.0


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = await Store.open(url)
    try:
        yield store
        assert await store.check() == []
    finally:
        await store.close()


@asynccontextmanager
async def restored(
    store: Store, path: Path, now: float = LATER, run: bool = False
) -> AsyncIterator[Store]:
    """A copy of the database, taken into use."""
    async with opened(await copied(store, path, f"copy-{now}")) as found:
        assert (await found.begin_life(0, now, run)).restored
        yield found


async def what(store: Store, job: str) -> list[str]:
    return [entry.what for entry in await store.timeline(job)]


async def left_alone(store: Store, *keys: AttemptId, agent: str = "a") -> set[AttemptId]:
    return (await store.look_up(agent, keys)).left_alone


def ended_as(job: Job) -> tuple[JobState, EndReason | None]:
    return job.state, job.end_reason


# What becomes of the copy's jobs ----------------------------------------------------------------


async def test_an_ordinary_start_changes_nothing(store: Store) -> None:
    job, held = await submitted(store), await running(store)
    assert await store.begin_life(0, NOW) == Opening(1, False)
    assert await store.begin_life(1, NOW) == Opening(2, False)
    # Another data directory: the database may be ahead of it.
    assert await store.begin_life(0, NOW) == Opening(3, False)
    (lease,) = await store.assign([(job, "a")], NOW)
    assert lease.key.number == 1
    unknown = AttemptId(make_ulid(int((NOW + 50) * 1000), bytes(10)), 1)
    assert await left_alone(store, AttemptId(held.job, 2), unknown) == set()


async def test_a_database_that_counts_less_than_its_directory_is_older(store: Store) -> None:
    await submitted(store)
    assert await store.begin_life(7, NOW) == Opening(8, True, ended=1)
    assert await store.begin_life(8, NOW) == Opening(9, False)


async def test_what_waited_ends_with_cause_and_cure(store: Store, tmp_path: Path) -> None:
    waiting = await submitted(store, expires_in=60.0)
    retried = await running(store, max_attempts=3, retry_on=["exit"], retry_backoff=60.0)
    await finish(store, retried, code=1)
    over = await running(store)
    await finish(store, over)
    async with restored(store, tmp_path) as copy:
        for job in (waiting, retried.job):
            found = await copy.job(job)
            assert ended_as(found) == (JobState.FAILED, EndReason.LOST)
            assert found.ended_at == LATER
            assert found.end_detail == (
                "the database was restored from an older copy; whether the job ran since is not "
                f"known, so it is not started again by itself: remotectl job retry {job}"
            )
            assert (await what(copy, job))[-1] == "lost"
        assert ended_as(await copy.job(over.job)) == (JobState.SUCCEEDED, EndReason.EXIT)
        assert (await what(copy, over.job))[-1] == "ended"
        assert await copy.release_due(LATER + 1e6) == 0
        assert await copy.expire_waiting(LATER + 1e6) == []
        assert await copy.assign([(waiting, "a"), (retried.job, "a")], LATER) == []
        assert await copy.demands() == {}
        assert await copy.counts() == {
            ("default", JobState.FAILED): 2,
            ("default", JobState.SUCCEEDED): 1,
        }


async def test_offers_are_taken_back_and_their_jobs_end(store: Store, tmp_path: Path) -> None:
    offer = await offered(store)
    async with opened(await copied(store, tmp_path)) as copy:
        found = await copy.begin_life(0, LATER)
        assert found == Opening(1, True, ended=1, withdrawn=1)
        (attempt,) = await copy.attempts_of(offer.key.job)
        assert attempt.state is AttemptState.WITHDRAWN
        job = await copy.job(offer.key.job)
        assert ended_as(job) == (JobState.FAILED, EndReason.LOST)
        assert (job.attempt, job.agent) == (0, None)


@pytest.mark.parametrize("run", [False, True])
async def test_a_wish_to_cancel_is_not_forgotten(store: Store, tmp_path: Path, run: bool) -> None:
    lease = await offered(store)
    await store.request_cancel(lease.key.job, "by a user", NOW)
    async with restored(store, tmp_path, run=run) as copy:
        found = await copy.job(lease.key.job)
        assert ended_as(found) == (JobState.CANCELLED, EndReason.CANCELLED)
        assert (await what(copy, lease.key.job))[-1] == "cancelled"
        # Whoever runs it must end it.
        assert await left_alone(copy, lease.key) == set()


async def test_what_an_agent_holds_stays_its_own(store: Store, tmp_path: Path) -> None:
    held = await running(store)
    async with opened(await copied(store, tmp_path)) as copy:
        assert await copy.begin_life(0, LATER) == Opening(1, True, left=1)
        (lease,) = (await copy.leases_of("a")).values()
        assert (lease.key, lease.state) == (held, AttemptState.RUNNING)
        assert (await copy.job(held.job)).state is JobState.RUNNING
        assert (await what(copy, held.job))[-1] == "restored"
        await finish(copy, held, now=LATER)
        assert (await copy.job(held.job)).state is JobState.SUCCEEDED


async def test_what_was_accepted_may_have_run(store: Store, tmp_path: Path) -> None:
    lease = await offered(store)
    await store.record("a", Accepted(lease.key), NOW + 1)
    async with restored(store, tmp_path) as copy:
        (attempt,) = await copy.attempts_of(lease.key.job)
        assert (attempt.state, attempt.started_at) == (AttemptState.RUNNING, NOW + 1)
        found = await copy.job(lease.key.job)
        assert (found.state, found.started_at) == (JobState.RUNNING, NOW)


@pytest.mark.parametrize("reason", ["lost", "exit"])
async def test_no_other_attempt_follows(store: Store, tmp_path: Path, reason: str) -> None:
    held = await running(store, max_attempts=100, retry_on=["lost", "exit"])
    async with restored(store, tmp_path) as copy:
        if reason == "lost":
            await copy.record("a", Lost(held, "the agent came back without it"), LATER)
        else:
            await finish(copy, held, code=1, now=LATER)
        found = await copy.job(held.job)
        assert (found.state, str(found.end_reason)) == (JobState.FAILED, reason)


# Attempts that it cannot know -------------------------------------------------------------------


async def test_what_it_cannot_tell_is_left_alone(store: Store, tmp_path: Path) -> None:
    waiting, offer = await submitted(store), await offered(store, "one")
    held = await running(store, max_attempts=3)
    lost = await running(store, max_attempts=2, on_disconnect={"on_return": "keep_first"})
    await store.record("a", Lost(lost, "silent"), NOW)
    done = await running(store)
    await finish(store, done)
    copy = await copied(store, tmp_path)
    newer = await submitted(store, NOW + 100)
    async with opened(copy) as found:
        await found.begin_life(0, LATER)
        unknown = {
            AttemptId(waiting, 1),
            offer.key,
            AttemptId(held.job, 2),
            lost,
            AttemptId(lost.job, 2),
            AttemptId(newer, 1),
        }
        assert await left_alone(found, *unknown) == unknown
        # An offer of the copy may have gone to another agent.
        assert await left_alone(found, offer.key, agent="two") == {offer.key}
        old = AttemptId(make_ulid(int((NOW - 100_000) * 1000), bytes(10)), 1)
        assert await left_alone(found, held, done, old) == set()
        looked = await found.look_up("a", [done, AttemptId(done.job, 2)])
        assert (looked.ended, looked.left_alone) == ({done}, set())
        # Once it is to be cancelled, no other attempt may go on either.
        await found.request_cancel(held.job, "by a user", LATER)
        assert await left_alone(found, AttemptId(held.job, 2)) == set()


async def test_a_lost_one_that_was_left_to_its_agent_may_come_back(
    store: Store, tmp_path: Path
) -> None:
    held = await running(store)
    async with restored(store, tmp_path) as copy:
        await copy.lose(held, "silent", LATER)
        assert (await copy.job(held.job)).state is JobState.FAILED
        assert await left_alone(copy, held) == {held}


async def test_a_retry_by_hand_shares_no_attempt(store: Store, tmp_path: Path) -> None:
    """It is another job: whatever number an agent may still hold is of the old one."""
    job = await submitted(store)
    async with restored(store, tmp_path) as copy:
        (again,) = await copy.submit([(await copy.job(job)).spec], LATER, detail=f"retry of {job}")
        (lease,) = await copy.assign([(again.id, "a")], LATER)
        assert lease.key.job != job
        assert await left_alone(copy, AttemptId(job, 1), lease.key) == {AttemptId(job, 1)}


# Where the operator knows that nothing ran ------------------------------------------------------


async def test_they_may_run_with_numbers_of_their_own(store: Store, tmp_path: Path) -> None:
    waiting, offer, held = await submitted(store), await offered(store), await running(store)
    async with opened(await copied(store, tmp_path)) as copy:
        found = await copy.begin_life(0, LATER, run=True)
        assert found == Opening(1, True, queued=2, left=1, withdrawn=1)
        assert await copy.counts() == {
            ("default", JobState.QUEUED): 2,
            ("default", JobState.RUNNING): 1,
        }
        leases = await copy.assign([(waiting, "a"), (offer.key.job, "a")], LATER)
        assert [lease.key.number for lease in leases] == [int(LATER) + 1] * 2
        assert (await what(copy, waiting))[:2] == ["queued", "restored"]
        # Fenced, as ever.
        assert await left_alone(copy, AttemptId(waiting, 1), offer.key) == set()
        await finish(copy, held, now=LATER)
        assert (await copy.job(held.job)).state is JobState.SUCCEEDED


async def test_what_was_accepted_and_may_run_waits_for_its_start(
    store: Store, tmp_path: Path
) -> None:
    lease = await offered(store, max_attempts=2)
    await store.record("a", Accepted(lease.key), NOW)
    async with restored(store, tmp_path, run=True) as copy:
        (found,) = (await copy.leases_of("a")).values()
        assert found.state is AttemptState.ACCEPTED
        await copy.lose(lease.key, "silent", LATER)
        await copy.release_due(LATER + 1000)
        (again,) = await copy.assign([(lease.key.job, "a")], LATER + 1000)
        assert again.key.number == int(LATER) + 1


async def test_two_lives_of_one_copy_share_no_number(store: Store, tmp_path: Path) -> None:
    job = await submitted(store)
    numbers = set()
    for now in (LATER, LATER + 1000):
        async with restored(store, tmp_path, now, run=True) as copy:
            (lease,) = await copy.assign([(job, "a")], now)
            numbers.add(lease.key.number)
    assert len(numbers) == 2


async def test_a_clock_that_is_set_back_gives_no_smaller_number(store: Store) -> None:
    job = await submitted(store)
    await store.begin_life(1, LATER, run=True)
    await store.begin_life(9, NOW, run=True)
    (lease,) = await store.assign([(job, "a")], LATER)
    assert lease.key.number == int(LATER) + MOST_NUMBERS + 1


async def test_skipped_numbers_are_no_tries(store: Store) -> None:
    job = await submitted(store, max_attempts=2, retry_on=["exit"], retry_backoff=0.0)
    await store.begin_life(1, NOW, run=True)
    for number in (1, 2):
        await store.release_due(NOW + 10 * number)
        (lease,) = await store.assign([(job, "a")], NOW + 10 * number)
        await finish(store, lease.key, code=1, now=NOW + 10 * number)
    assert (await store.job(job)).state is JobState.FAILED
    assert len(await store.attempts_of(job)) == 2


async def test_what_was_not_restored_to_run_never_runs(store: Store) -> None:
    """Whatever the next restoration is told."""
    held = await running(store, max_attempts=3)
    await store.begin_life(1, NOW)
    await store.begin_life(9, NOW, run=True)
    await store.lose(held, "silent", LATER)
    assert (await store.job(held.job)).state is JobState.FAILED
    assert await store.release_due(LATER + 1e6) == 0
