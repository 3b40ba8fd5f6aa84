"""Timelines, the stream of events, and which logs may go."""

from __future__ import annotations

from remote_protocol.api.queues import QueueCreate
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Step
from remote_protocol.states import EndReason, JobState
from remote_server.store import Store
from tests.support.stored import NOW, finish, offered, running, started, submitted


async def test_a_timeline_is_told_in_the_order_of_events(store: Store) -> None:
    lease = await offered(store)
    key = await started(store, lease, NOW + 1)
    # The agent was cut off: what it did long ago is reported together with the end.
    await store.request_cancel(key.job, "stop", NOW + 50)
    steps = [Step(at=NOW + 5, what="first_output"), Step(at=NOW + 60, what="interrupt")]
    await finish(store, key, now=NOW + 99, at=NOW + 61, steps=steps)
    entries = await store.timeline(key.job)
    assert [entry.what for entry in entries] == [
        "queued",
        "assigned",
        "accepted",
        "started",
        "first_output",
        "cancel_requested",
        "interrupt",
        "ended",
    ]
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert await store.timeline("nothing") == []


async def test_events_are_followed_by_number(store: Store) -> None:
    first = await running(store)
    await finish(store, first)
    seen = await store.events(0, 2)
    assert [entry.state for entry in seen] == [JobState.QUEUED, JobState.ASSIGNED]
    rest = await store.events(seen[-1].seq)
    assert [entry.state for entry in rest] == [JobState.RUNNING, JobState.SUCCEEDED]
    assert all(entry.job == first.job for entry in rest)
    last = await store.last_seq()
    assert await store.events(last) == []
    second = await submitted(store)
    (event,) = await store.events(last)
    assert (event.job, event.what, event.agent) == (second, "queued", None)


async def test_every_change_of_state_is_one_event(store: Store) -> None:
    key = await running(store, max_attempts=2, retry_on=["exit"], retry_backoff=0)
    await finish(store, key, 5)
    await store.release_due(NOW)
    (lease,) = await store.assign([(key.job, "b")], NOW)
    await store.withdraw(lease.key, "full", NOW)
    (lease,) = await store.assign([(key.job, "a")], NOW)
    await started(store, lease)
    await finish(store, lease.key, 6)
    states = [str(entry.state) for entry in await store.events(0)]
    assert states == [
        *("queued", "assigned", "running", "queued"),
        *("assigned", "queued", "assigned", "running", "failed"),
    ]
    retry = next(entry for entry in await store.timeline(key.job) if entry.what == "retry")
    assert retry.detail == "attempt 2 of 2 follows in 0ms"


async def test_old_logs_are_found_and_forgotten(store: Store) -> None:
    await store.create_queue(QueueCreate(name="q"), NOW)
    keys: list[AttemptId] = []
    for number in range(3):
        key = await running(store, queue="q")
        await finish(store, key, now=NOW + number, size=100)
        keys.append(key)
    retried = await running(store, queue="q", max_attempts=2, retry_on=["exit"])
    await finish(store, retried, 1, size=100)
    await running(store, queue="q")
    other = await running(store)
    await finish(store, other)

    assert await store.logs_total("q") == 400
    old = await store.old_logs("q", NOW + 2)
    assert [(log.key, log.size) for log in old] == [(keys[0], 100), (keys[1], 100)]
    await store.logs_gone([log.key for log in old])
    assert [log.key for log in await store.old_logs("q", NOW + 99)] == [keys[2]]
    assert await store.logs_total("q") == 200


async def test_a_page_of_events_of_some_queues_says_how_far_it_looked(store: Store) -> None:
    await store.create_queue(QueueCreate(name="other"), NOW)
    first, theirs = await submitted(store), await submitted(store, queue="other")
    last = await store.last_seq()
    page = await store.events_page(0, within={"default"})
    assert [event.job for event in page.events] == [first] and page.upto == last
    assert [event.job for event in (await store.events_page(0)).events] == [first, theirs]
    assert (await store.events_page(last, within={"default"})).upto == last


async def test_a_change_tells_of_its_job_and_its_end(store: Store) -> None:
    await store.create_queue(QueueCreate(name="q"), NOW)
    key = await running(store, queue="q", idempotency_key="k", max_attempts=2, retry_on=["exit"])
    await finish(store, key, 3)
    page = await store.events_page(0)
    told = [(e.state, e.queue, e.exit_code, e.end_reason, e.idempotency_key) for e in page.events]
    assert told[-1] == (JobState.QUEUED, "q", None, None, "k")  # another attempt follows
    await store.request_cancel(key.job, "", NOW)
    page = await store.events_page(0)
    told = [(e.state, e.queue, e.exit_code, e.end_reason, e.idempotency_key) for e in page.events]
    assert told[-1] == (JobState.CANCELLED, "q", None, EndReason.CANCELLED, "k")
    assert {one[2:4] for one in told[:-1]} == {(None, None)}
    other = await running(store)
    await finish(store, other, 3)
    last = (await store.events_page(0)).events[-1]
    assert (last.job, last.exit_code, last.end_reason) == (other.job, 3, EndReason.EXIT)
    assert last.idempotency_key is None


async def test_a_page_of_changes_to_some_states(store: Store) -> None:
    key = await running(store)
    await finish(store, key)
    page = await store.events_page(0, states=[JobState.RUNNING, JobState.SUCCEEDED])
    assert [event.state for event in page.events] == [JobState.RUNNING, JobState.SUCCEEDED]
    assert (await store.events_page(0, states=[JobState.FAILED])).upto == await store.last_seq()
