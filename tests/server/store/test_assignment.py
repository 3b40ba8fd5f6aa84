"""How a waiting job is given to an agent: once, and only while it waits."""

from __future__ import annotations

import asyncio
import json

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Demand
from remote_server.store import Store
from remote_server.store.specifications import Specs
from tests.support.stored import NOW, offered, submitted

PLAIN = Demand("default", (), None)


async def test_assigning_makes_leases(store: Store) -> None:
    job = await submitted(store, weight=0.25, env={"X": "y"})
    (lease,) = await store.assign([(job, "host1")], NOW + 2)
    assert lease.key == AttemptId(job, 1)
    assert (lease.agent, lease.queue, lease.weight) == ("host1", "default", 0.25)
    assert lease.state is AttemptState.OFFERED
    assert lease.spec.env == {"X": "y"}
    found = await store.job(job)
    assert (found.state, found.agent, found.attempt) == (JobState.ASSIGNED, "host1", 1)
    assert found.assigned_at == NOW + 2
    assert await store.leases_of("host1") == {lease.key: lease}


async def test_a_small_specification_comes_as_it_is_stored(store: Store) -> None:
    for remembered in (True, False):
        job = await submitted(store, labels={"a": "ä"}, private_input=True)
        if not remembered:
            store.specs = Specs()
        (lease,) = await store.assign([(job, "host1")], NOW)
        assert lease.text == lease.spec.short_json
        assert json.loads(lease.text)["labels"] == {"a": "ä"}
    job = await submitted(store, env={"X": "x" * 10_000})
    (lease,) = await store.assign([(job, "host1")], NOW)
    assert lease.text is None


async def test_only_waiting_jobs_are_assigned(store: Store) -> None:
    good = await submitted(store)
    cancelled = await submitted(store)
    await store.request_cancel(cancelled, "", NOW)
    expired = await submitted(store, expires_in=3)
    taken = (await offered(store)).key.job
    pairs = [(job, "a") for job in (cancelled, expired, taken, "nothing", good)]
    leases = await store.assign(pairs, NOW + 3)
    assert [lease.key.job for lease in leases] == [good]


async def test_who_gets_an_offer_again_by_the_commit_that_took_it_is_not_told_so(
    store: Store,
) -> None:
    """He may have heard of the new offer before that commit, and accepted it."""
    first, second = await offered(store, "a"), await offered(store, "a")
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    taking = asyncio.gather(*(store.withdraw(lease.key, "late", NOW) for lease in (first, second)))
    await asyncio.sleep(0)
    # In the same turn of the loop, so that all of it is one transaction.
    await store.assign([(first.key.job, "a"), (second.key.job, "b")], NOW)
    await taking
    assert [changes.given_up for changes in told] == [{second.key: ("a", "late")}]
    assert {*await store.leases_of("a"), *await store.leases_of("b")} == {first.key, second.key}


async def test_two_dispatchers_cannot_give_the_same_job(store: Store) -> None:
    job = await submitted(store)
    first, second = await asyncio.gather(
        store.assign([(job, "a")], NOW), store.assign([(job, "b")], NOW)
    )
    assert [lease.agent for lease in first + second] == ["a"]


async def test_a_withdrawn_number_is_given_again(store: Store) -> None:
    lease = await offered(store)
    await store.withdraw(lease.key, "paused", NOW)
    job = await store.job(lease.key.job)
    assert (job.state, job.attempt, job.agent) == (JobState.QUEUED, 0, None)
    (again,) = await store.assign([(job.id, "b")], NOW + 5)
    assert again.key == lease.key
    attempts = await store.attempts_of(job.id)
    assert [(a.number, a.agent, a.state) for a in attempts] == [(1, "b", AttemptState.OFFERED)]
    # A second time too, and after an attempt that has run.
    await store.withdraw(again.key, "full", NOW)
    (third,) = await store.assign([(job.id, "a")], NOW)
    assert third.key.number == 1
