"""A store of which only some queues exist."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest

from remote_protocol.api.queues import QueueCreate
from remote_protocol.ids import make_ulid
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from remote_server.domain.model import Job, Principal
from remote_server.domain.queue_limits import QueueLimits
from remote_server.errors import NoQueueNamed, NotFound, Refused, UnknownAgent, UnknownQueue
from remote_server.queries.limited_store import LimitedStore
from remote_server.store import JobFilter, Store
from tests.support.stored import NOW, running, spec, submitted


async def test_jobs_of_other_queues_are_not_there(store: Store, mine: LimitedStore) -> None:
    own, other = await submitted(store, queue="a"), await submitted(store, queue="b")
    assert (await mine.job(own)).id == own
    for ask in (
        mine.job(other),
        mine.attempts_of(other),
        mine.timeline(other),
        mine.request_cancel(other, "", NOW),
        mine.input_ended(other, "", NOW),
        mine.queue("b"),
        mine.queue("nowhere"),
        mine.agent("of-b"),
    ):
        with pytest.raises(NotFound):
            await ask
    assert await mine.counts() == {("a", JobState.QUEUED): 1}
    assert [job.id for job in (await mine.jobs())[0]] == [own]
    assert await mine.jobs(JobFilter(queue="b")) == ([], None)


async def test_what_others_have_is_unknown_in_the_words_of_what_there_is_not(
    mine: LimitedStore,
) -> None:
    async def said(work: Awaitable[object]) -> str:
        with pytest.raises((UnknownQueue, UnknownAgent)) as caught:
            await work
        return str(caught.value)

    def wanted(**fields: object) -> list[JobSpec]:
        return [spec(**{"queue": "a", **fields})]

    for one, none in (("queue", "b"), ("agent", "of-b")):
        real = await said(mine.submit(wanted(**{one: none}), NOW))
        made_up = await said(mine.submit(wanted(**{one: "zz"}), NOW))
        assert real.replace(repr(none), "").replace(f"create {none}", "") == made_up.replace(
            "'zz'", ""
        ).replace("create zz", "")
        assert [str(error) for error in await mine.refusals(wanted(**{one: none})[0])] == [real]
    assert "of-a" in real and "of-ab" in real
    (job,) = await mine.submit(wanted(agent="of-ab"), NOW)
    assert job.spec.agent == "of-ab" and await mine.refusals(job.spec) == []


async def test_each_job_is_judged_alone_by_what_is_theirs(mine: LimitedStore) -> None:
    jobs = [spec(queue="b"), spec(queue="a"), spec(), spec(queue="a", agent="of-b")]
    first, made, unnamed, aside = await mine.submit_each(jobs, NOW)
    assert isinstance(made, Job) and (await mine.job(made.id)).spec.queue == "a"
    with pytest.raises(UnknownQueue) as alone:
        await mine.submit([jobs[0]], NOW)
    assert isinstance(first, UnknownQueue) and str(first) == str(alone.value)
    assert isinstance(unnamed, NoQueueNamed) and isinstance(aside, UnknownAgent)
    assert "of-b'" not in str(aside).partition(";")[2]
    assert [type(one) for one in await mine.submit_each(jobs[:1], NOW)] == [UnknownQueue]


async def test_events_of_others_leave_gaps(store: Store, mine: LimitedStore) -> None:
    await submitted(store, queue="b")
    own = await submitted(store, queue="a")
    await submitted(store, queue="b")
    page = await mine.events_page(0, 2)
    assert [event.job for event in page.events] == [own] and page.upto == page.events[0].seq
    rest = await mine.events_page(page.upto, 2)
    assert (rest.events, rest.upto) == ([], await mine.last_seq())
    assert (await mine.events_page(rest.upto)).upto == rest.upto


async def test_queues_of_a_filter_are_their_own_at_most(store: Store, mine: LimitedStore) -> None:
    own = await submitted(store, queue="a")
    await submitted(store, queue="b")
    page = await mine.events_page(0, within=["a", "b"])
    assert [event.job for event in page.events] == [own]
    assert (await mine.events_page(0, within=["b"])).events == []


async def test_a_look_up_finds_jobs_of_their_queues(store: Store, mine: LimitedStore) -> None:
    me = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "me")
    wanted = [spec(queue=queue, idempotency_key=f"key-{queue}") for queue in ("a", "b")]
    own, other = await store.submit(wanted, NOW, by=me)
    found = await mine.known_jobs([own.id, other.id], ["key-a", "key-b"], me)
    assert [job.id for job in found.jobs] == [own.id] and found.keys == {"key-a": own.id}


async def test_a_timeline_names_no_job_of_others(store: Store, mine: LimitedStore) -> None:
    own, other = await submitted(store, queue="a"), await submitted(store, queue="b")
    for source, shown in ((own, f"retry of {own}"), (other, ""), (make_ulid(1, b"0" * 10), "")):
        (job,) = await store.submit([spec(queue="a")], NOW, detail=f"retry of {source}")
        assert [event.detail for event in await mine.timeline(job.id)] == [shown]


async def test_pages_of_few_and_of_many_queues_are_the_same(store: Store) -> None:
    names = [f"q{number}" for number in range(12)]
    for name in names:
        await store.create_queue(QueueCreate(name=name), NOW)
    ids = [await submitted(store, NOW + n, queue=names[n % 12]) for n in range(36)]
    await running(store, now=NOW + 40)
    for few in (names[:3], names[:11]):
        mine = LimitedStore(store, QueueLimits(frozenset(few)))
        found: list[str] = []
        cursor: str | None = None
        while True:
            jobs, cursor = await mine.jobs(limit=4, cursor=cursor)
            found += [job.id for job in jobs]
            if cursor is None:
                break
        assert found == [job for n, job in enumerate(ids) if names[n % 12] in few][::-1]
    assert await LimitedStore(store, QueueLimits(frozenset())).jobs() == ([], None)


def test_what_was_not_thought_of_is_refused(store: Store) -> None:
    mine = LimitedStore(store, QueueLimits(frozenset({"a"})))
    for name in ("create_token", "audit_page", "demands", "delete_queue", "anything_new"):
        with pytest.raises(Refused, match="limited to queues"):
            getattr(mine, name)
