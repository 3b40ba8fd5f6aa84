"""Submitting, looking up, listing and cancelling jobs on a real database."""

from __future__ import annotations

import pytest

from remote_protocol.messages import Hello
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.change_set import Cancel, ChangeSet
from remote_server.domain.model import Job, Principal
from remote_server.errors import (
    Conflict,
    ContentMissing,
    NotFound,
    UnknownAgent,
    UnknownQueue,
)
from remote_server.store import Store
from remote_server.store.specifications import Specs
from tests.support.databases import sqlite_connection
from tests.support.stored import NOW, finish, offered, running, spec, submitted

ALICE = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice")


async def test_jobs_keep_the_order_in_which_they_were_submitted(store: Store) -> None:
    jobs = await store.submit([spec(name=str(number)) for number in range(50)], NOW)
    ids = [job.id for job in jobs]
    assert ids == sorted(ids)
    later = await submitted(store, NOW - 3600)  # the clock went back
    assert later > ids[-1]


async def test_a_job_is_found_as_it_was_submitted(store: Store) -> None:
    wanted = spec(
        name="n", env={"A": "ü"}, labels={"gpu": "true"}, weight=0.5, priority=7, expires_in="1h"
    )
    (made,) = await store.submit([wanted], NOW)
    found = await store.job(made.id)
    assert found == made
    assert found.spec == wanted
    assert (found.state, found.attempt, found.agent) == (JobState.QUEUED, 0, None)
    assert found.expires_at == NOW + 3600
    with pytest.raises(NotFound, match="there is no job"):
        await store.job("01ARZ3NDEKTSV4RRFFQ69G5FAV")


async def test_an_unknown_queue_refuses_the_whole_batch(store: Store) -> None:
    with pytest.raises(UnknownQueue, match=r"no queue 'gpu'; the queues are: default"):
        await store.submit([spec(), spec(queue="gpu")], NOW)
    assert (await store.jobs())[0] == []
    assert await store.demands() == {}
    assert await store.last_seq() == 0


async def test_a_job_for_an_unknown_agent_is_refused_as_one_for_an_unknown_queue(
    store: Store,
) -> None:
    with pytest.raises(UnknownAgent, match=r"no agent 'b'; no agent is registered yet"):
        await store.submit([spec(), spec(agent="b")], NOW)
    hello = Hello(oldest=1, newest=1, installation="i", session="0" * 26, agent_version="1")
    await store.bump_epoch("a", hello, "", NOW)
    with pytest.raises(UnknownAgent, match=r"no agent 'b'; the agents are: a"):
        await store.submit([spec(), spec(agent="b")], NOW)
    assert (await store.jobs())[0] == []
    (made,) = await store.submit([spec(agent="a")], NOW)
    assert (await store.job(made.id)).spec.agent == "a"
    assert await store.existing(["a", "b"]) == {"a"}


async def test_an_idempotency_key_stores_a_job_once(store: Store) -> None:
    first = await submitted(store, idempotency_key="k")
    again = await submitted(store, NOW + 9, idempotency_key="k")
    assert again == first
    jobs = await store.submit([spec(idempotency_key="b"), spec(idempotency_key="b")], NOW)
    assert jobs[0].id == jobs[1].id
    with pytest.raises(Conflict, match="used for a different job"):
        await submitted(store, idempotency_key="k", priority=1)
    assert len((await store.jobs())[0]) == 2
    # What was returned again is the job as it is now.
    await store.request_cancel(first, "", NOW)
    (known,) = await store.submit([spec(idempotency_key="k")], NOW)
    assert known.state is JobState.CANCELLED


async def test_each_job_is_stored_without_those_that_are_refused(store: Store) -> None:
    await submitted(store, idempotency_key="k")
    wanted = [
        spec(queue="gpu", idempotency_key="a"),
        spec(idempotency_key="a"),
        spec(idempotency_key="k", priority=1),
        spec(agent="b"),
        spec(files=[{"path": "f", "digest": "0" * 64, "size": 1}], idempotency_key="c"),
        spec(idempotency_key="c"),
        spec(idempotency_key="c"),
    ]
    found = await store.submit_each(wanted, NOW)
    kinds = [UnknownQueue, Job, Conflict, UnknownAgent, ContentMissing, Job, Job]
    assert [type(one) for one in found] == kinds
    again = await store.submit_each(wanted, NOW)
    assert [one.id for one in again if isinstance(one, Job)] == [
        one.id for one in found if isinstance(one, Job)
    ], "a repeat gives the same jobs"
    assert len((await store.jobs())[0]) == 3
    assert await store.submit_each([], NOW) == []


async def test_a_waiting_job_is_cancelled_at_once(store: Store) -> None:
    job = await submitted(store)
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    cancelled = await store.request_cancel(job, "not needed", NOW + 1)
    assert [changes.cancels for changes in told] == [{}]
    assert cancelled.state is JobState.CANCELLED
    assert cancelled.end_reason is EndReason.CANCELLED
    assert cancelled.end_detail == "cancelled while it waited: not needed"
    assert cancelled.ended_at == NOW + 1
    assert await store.demands() == {}
    assert [entry.what for entry in await store.timeline(job)] == ["queued", "cancelled"]


async def test_a_running_job_gets_a_wish_once(store: Store) -> None:
    key = await running(store)
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    asked = await store.request_cancel(key.job, "why", NOW + 1, ALICE)
    assert asked.state is JobState.RUNNING
    assert asked.cancel_requested_at == NOW + 1
    (lease,) = (await store.leases_of("a")).values()
    assert (lease.key, lease.agent) == (key, "a")
    assert lease.state is AttemptState.RUNNING
    assert (lease.cancel_requested, lease.cancel_detail) == (True, "why")
    again = await store.request_cancel(key.job, "other", NOW + 2)
    assert [changes.cancels for changes in told] == [
        {key: Cancel("a", EndReason.CANCELLED, detail)} for detail in ("why", "other")
    ]
    by = [entry.by for entry in await store.timeline(key.job) if entry.what == "cancel_requested"]
    assert by == [ALICE]
    assert again.cancel_requested_at == NOW + 1
    said = [entry.what for entry in await store.timeline(key.job)]
    assert said.count("cancel_requested") == 1


async def test_a_job_that_has_ended_stays_as_it_is(store: Store) -> None:
    key = await running(store)
    await finish(store, key)
    before = await store.job(key.job)
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    assert await store.request_cancel(key.job, "", NOW + 9) == before
    assert not any(changes.cancels for changes in told)
    with pytest.raises(NotFound):
        await store.request_cancel("01ARZ3NDEKTSV4RRFFQ69G5FAV", "", NOW)


async def test_a_cancel_races_with_an_offer(store: Store) -> None:
    lease = await offered(store)
    await store.request_cancel(lease.key.job, "", NOW)
    await store.withdraw(lease.key, "paused", NOW)
    job = await store.job(lease.key.job)
    assert (job.state, job.end_reason) == (JobState.CANCELLED, EndReason.CANCELLED)
    assert await store.demands() == {}


async def test_a_big_specification_survives(store: Store) -> None:
    from base64 import b64encode

    content = b64encode(b"\x00\xff" * 500_000).decode()
    job = await submitted(store, files=[{"path": "a.bin", "content": content}])
    assert store.specs.known(job) is None
    assert (await store.job(job)).spec.files[0].data == b"\x00\xff" * 500_000
    (lease,) = await store.assign([(job, "a")], NOW)
    assert lease.spec.files[0].path == "a.bin"


FILES = [{"path": "a.txt", "content": "eA=="}, {"path": "b", "content": "", "mode": 0o755}]


async def test_files_are_kept_beside_and_left_out_of_lists(store: Store) -> None:
    job = await submitted(store, files=FILES, name="with files", idempotency_key="k")
    plain = await submitted(store, name="plain")
    for specs in (store.specs, Specs()):
        store.specs = specs
        listed = {found.id: found.spec for found in (await store.jobs())[0]}
        assert (listed[job].name, listed[job].files) == ("with files", [])
        assert listed[plain].name == "plain"
        whole = (await store.job(job)).spec
        assert whole == spec(files=FILES, name="with files", idempotency_key="k")
        assert (await store.job(plain)).spec.files == []
    (lease,) = await store.assign([(job, "a")], NOW)
    assert [file.path for file in lease.spec.files] == ["a.txt", "b"]
    store.specs = Specs()
    (lease,) = (await store.leases_of("a")).values()
    assert lease.spec == spec(files=FILES, name="with files", idempotency_key="k")


async def test_the_same_key_with_other_files_is_another_job(store: Store) -> None:
    first = await submitted(store, files=FILES, idempotency_key="k")
    assert await submitted(store, files=FILES, idempotency_key="k") == first
    with pytest.raises(Conflict):
        await submitted(store, files=FILES[:1], idempotency_key="k")
    with pytest.raises(Conflict):
        await submitted(store, idempotency_key="k")


async def test_a_list_does_not_read_files(sqlite_store: Store) -> None:
    store = sqlite_store
    await submitted(store, files=FILES)
    asked: list[str] = []
    connection = sqlite_connection(store)
    connection.set_trace_callback(asked.append)
    await store.jobs()
    connection.set_trace_callback(None)
    (text,) = asked
    assert "excerpt" in text
    assert "bulk" not in text
