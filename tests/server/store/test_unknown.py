"""Which reports of attempts a restored database believes."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.events import Finished, Lost, Recovered
from remote_server.errors import Stale
from remote_server.store import Store
from tests.server.store.test_restoration import GRACE, LATER, restored
from tests.support.databases import copied
from tests.support.stored import NOW, ended, finish, offered, running, started, submitted


async def test_without_a_restoration_nothing_is_unknown(store: Store) -> None:
    job = await submitted(store)
    assert await store.leases([AttemptId(job, 1)], "a") == {}
    assert not (await store.look_up("a", [AttemptId(job.replace("0", "1"), 1)])).unknown
    with pytest.raises(Stale):
        await store.record("a", Recovered(AttemptId(job, 1)), NOW)


async def test_what_a_newer_attempt_has_overtaken_stays_out(store: Store, tmp_path: Path) -> None:
    job = await submitted(store)
    async with restored(store, tmp_path) as copy:
        await copy.release_due(LATER + GRACE)
        (lease,) = await copy.assign([(job, "new")], LATER + GRACE)
        await started(copy, lease, LATER + GRACE)
        assert await copy.leases([AttemptId(job, 1)], "old") == {}
        with pytest.raises(Stale):
            await copy.record("old", Recovered(AttemptId(job, 1)), LATER + GRACE)


async def test_the_later_attempt_of_a_former_life_was_the_job_s(
    store: Store, tmp_path: Path
) -> None:
    first = await running(store, "one", max_attempts=3)
    second = AttemptId(first.job, 2)
    async with restored(store, tmp_path) as copy:
        outcome = await copy.record("two", Recovered(second), LATER)
        assert outcome.superseded == ("one", first)
        with pytest.raises(Stale):
            await copy.record("one", Finished(first, ended(first)), LATER)
        await finish(copy, second, agent="two", now=LATER)
        assert (await copy.job(first.job)).state is JobState.SUCCEEDED


async def test_an_offer_that_went_elsewhere_is_found_there(store: Store, tmp_path: Path) -> None:
    lease = await offered(store, "one")
    async with restored(store, tmp_path) as copy:
        await copy.record("two", Recovered(lease.key), LATER)
        (attempt,) = await copy.attempts_of(lease.key.job)
        assert (attempt.agent, attempt.state) == ("two", AttemptState.RUNNING)


async def test_what_is_over_stays_over(store: Store, tmp_path: Path) -> None:
    done = await running(store)
    await finish(store, done)
    lost = await running(store, max_attempts=2)
    await store.record("a", Lost(lost, "silent"), NOW)
    async with restored(store, tmp_path) as copy:
        for key in (done, AttemptId(done.job, 2), lost):
            assert await copy.leases([key], "a") == {}
            with pytest.raises(Stale):
                await copy.record("a", Recovered(key), LATER)
        assert (await copy.job(done.job)).state is JobState.SUCCEEDED


async def test_jobs_made_behind_the_copy_are_strays(store: Store, tmp_path: Path) -> None:
    known = await submitted(store)
    copy = await copied(store, tmp_path)
    newer = await submitted(store, NOW + 100)
    old = AttemptId(make_ulid(int((NOW - 100_000) * 1000), bytes(10)), 1)
    found = await Store.open(copy)
    try:
        await found.begin_life(0, LATER, GRACE)
        keys = [AttemptId(known, 1), AttemptId(newer, 1), old]
        assert (await found.look_up("a", keys)).unknown == {AttemptId(newer, 1)}
    finally:
        await found.close()
