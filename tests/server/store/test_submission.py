"""New jobs are stored in one operation, those included that an agent has a place for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import bindparam, select

from remote_protocol.api.queues import QueueCreate
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Lease, Principal, Waiting
from remote_server.errors import UnknownQueue
from remote_server.store import Store
from remote_server.store.ports import Elsewhere, OperationFault, Transaction
from remote_server.store.schema import attempts, jobs
from remote_server.store.snapshots import read_attempt
from remote_server.store.sqlite.database import SqliteDatabase
from tests.support.stored import NOW, finish, spec, started, submitted

BY = Principal("01M8GS0WB5R6DD43H35HJ06PEJ", "somebody")
_JOB = select(*(c for c in jobs.c if c.name not in ("id", "created_at"))).where(
    jobs.c.id == bindparam("of")
)
_ATTEMPT = select(*(c for c in attempts.c if c.name != "job")).where(
    attempts.c.job == bindparam("of")
)


class Places:
    """The agent `a` for the first jobs of a call; remembers what it was told."""

    def __init__(self, store: Store, count: int = 1) -> None:
        self.count = count
        self.agents: Mapping[str, str] = {}
        self.at = NOW + 1
        self.told: list[tuple[str, list[Lease]]] = []
        store.on_arrival(self.find)

    def find(self, arriving: Sequence[Waiting]) -> Places:
        self.agents = {waiting.job: "a" for waiting in arriving[: self.count]}
        return self

    def written(self, leases: Sequence[Lease]) -> None:
        self.told.append(("written", list(leases)))

    def stored(self, leases: Sequence[Lease]) -> None:
        self.told.append(("stored", list(leases)))


async def rows(store: Store, job: str) -> tuple[Any, Any]:
    def look(tx: Transaction) -> tuple[Any, Any]:
        known = tx.known.find(AttemptId(job, 1))
        assert known is not None
        assert known == read_attempt(tx, AttemptId(job, 1))
        return tx.one(_JOB, {"of": job}), tx.one(_ATTEMPT, {"of": job})

    return await store._database.write(Elsewhere(look))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"priority": 3, "expires_in": 9, "max_attempts": 2, "labels": {"a": "b"}, "weight": 0.5},
    ],
)
async def test_one_with_a_place_is_stored_as_one_that_was_assigned(
    store: Store, fields: dict[str, Any]
) -> None:
    (first,) = await store.submit([spec(**fields)], NOW, by=BY)
    await store.assign([(first.id, "a")], NOW + 1)
    counts = await store.counts()
    places = Places(store)
    (second,) = await store.submit([spec(**fields)], NOW, by=BY)
    assert await rows(store, second.id) == await rows(store, first.id)
    one, other = [
        [(e.at, e.what, e.state, e.attempt, e.agent, e.by) for e in await store.timeline(job.id)]
        for job in (first, second)
    ]
    assert one == other
    assert [entry[-1] for entry in one] == [BY, None], "nobody asked for this agent"
    assert counts == {("default", JobState.ASSIGNED): 1}
    assert await store.counts() == {("default", JobState.ASSIGNED): 2}
    assert await store.demands() == {}
    assert not store.arrivals
    (lease,) = places.told[-1][1]
    assert lease == Lease(
        AttemptId(second.id, 1),
        "a",
        AttemptState.OFFERED,
        "default",
        fields.get("weight"),
        spec(**fields),
    )
    assert lease.text == spec(**fields).short_json
    await finish(store, await started(store, lease))
    assert (await store.job(second.id)).state is JobState.SUCCEEDED


async def test_who_has_found_places_hears_what_is_written_and_what_is_stored(store: Store) -> None:
    places = Places(store)
    commits: list[ChangeSet] = []
    store.on_commit(commits.append)
    first, second = await store.submit([spec(), spec(name="later")], NOW)
    said = [(what, [lease.key.job for lease in leases]) for what, leases in places.told]
    early = [("written", [first.id])] if isinstance(store._database, SqliteDatabase) else []
    assert said == [*early, ("stored", [first.id])]
    assert [one.job for one in commits[0].submitted] == [first.id, second.id]
    assert await store.counts() == {
        ("default", JobState.ASSIGNED): 1,
        ("default", JobState.QUEUED): 1,
    }
    assert [waiting.job for waiting in await store.heads(list(await store.demands()), 9)] == [
        second.id
    ]


async def test_places_of_what_is_not_stored_are_given_back(store: Store) -> None:
    places = Places(store)
    with pytest.raises(UnknownQueue):
        await submitted(store, queue="nowhere")
    assert places.told == [("stored", [])]
    first = await submitted(store, idempotency_key="once")
    places.told.clear()
    assert await submitted(store, idempotency_key="once") == first
    assert [leases for _, leases in places.told] == [[] for _ in places.told]
    assert places.told[-1][0] == "stored"


async def test_it_may_run_again_for_what_others_did(store: Store) -> None:
    """What it shares its transaction with is guilty: the job is given all the same."""

    def guilty(tx: Transaction) -> None:
        tx.note("nobody's", NOW, "queued")
        raise OperationFault("on purpose")

    places = Places(store)
    job, other = await asyncio.gather(
        submitted(store), store._database.write(guilty), return_exceptions=True
    )
    assert isinstance(other, OperationFault)
    assert isinstance(job, str)
    assert [lease.key for lease in places.told[-1][1]] == [AttemptId(job, 1)]
    assert (await store.job(job)).agent == "a"
    assert await store.counts() == {("default", JobState.ASSIGNED): 1}


async def test_a_queue_is_looked_up_once_and_missed_when_it_is_gone(store: Store) -> None:
    def known(tx: Transaction) -> set[str]:
        return set(tx.known.queues)

    await store.create_queue(QueueCreate(name="q"), NOW)
    job = await submitted(store, queue="q")
    with pytest.raises(UnknownQueue):
        await submitted(store, queue="nowhere")
    assert await store._database.write(Elsewhere(known)) == {"q"}
    await store.request_cancel(job, "", NOW)
    await store.delete_queue("q")
    with pytest.raises(UnknownQueue):
        await submitted(store, queue="q")
    assert await store._database.write(Elsewhere(known)) == set()


async def test_keys_of_many_jobs_are_found_among_those_of_one_submitter(store: Store) -> None:
    wanted = [spec(idempotency_key=f"k{number}") for number in range(40)]
    others = await store.submit(wanted, NOW, BY)
    first = await store.submit(wanted[3:37], NOW)
    assert not {job.id for job in first} & {job.id for job in others}
    mixed = [wanted[36], spec(), *wanted[:36], spec(idempotency_key="new"), *wanted[35:]]
    second = await store.submit(mixed, NOW)
    by_key = {job.spec.idempotency_key: job.id for job in first}
    known = [by_key.get(job.spec.idempotency_key, job.id) for job in second]
    assert [job.id for job in second] == known
    assert second[0].id == first[-1].id and len({job.id for job in second}) == 42
    assert len((await store.jobs(limit=500))[0]) == 40 + 34 + 8
