"""Jobs that ended, until their spans are sent."""

from __future__ import annotations

from remote_server.domain.change_set import ChangeSet, Submitted
from remote_server.export.traces import PendingSpans
from remote_server.store import Store
from tests.support.stored import NOW, finish, running


async def test_spans_of_ended_jobs_are_taken_once(store: Store) -> None:
    jobs = PendingSpans(store, now=lambda: NOW + 5)
    store.on_commit(jobs.committed)
    key = await running(store)
    ((trace, (sent,)),) = await jobs.take()
    assert (sent.name, sent.begun, sent.ended) == ("submit", NOW, NOW + 5)
    assert not jobs
    await finish(store, key, 3)
    assert len(jobs) == 1
    ((same, spans),) = await jobs.take()
    assert same == trace and sent.parent == spans[0].id
    assert [span.name for span in spans] == ["job", "queue", "dispatch", "run", "upload"]
    assert spans[0].ended == NOW + 5 and trace.flags == "01"
    assert not jobs and await jobs.take() == []


async def test_what_is_not_to_be_recorded_is_not(store: Store) -> None:
    jobs = PendingSpans(store)
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    key = await running(store, traceparent=given)
    await finish(store, key)
    jobs.committed(ChangeSet(ended={key.job}, submitted=[Submitted(key.job, NOW, given)]))
    assert len(jobs) == 2
    assert await jobs.take() == []


async def test_a_job_that_is_gone_and_those_that_are_too_many(store: Store) -> None:
    jobs = PendingSpans(store, most=2)
    jobs.committed(ChangeSet(ended={"x"}))
    jobs.committed(ChangeSet(ended={"y"}))
    jobs.committed(ChangeSet(ended={"z"}))
    assert (len(jobs), jobs.dropped) == (2, 1)
    assert await jobs.take() == [] and not jobs
    assert [family.samples[0].value for family in jobs.families()] == [0, 1, 0]
