"""Groups: their members, their counts, what stops them."""

from __future__ import annotations

import pytest

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.groups import GroupState
from remote_protocol.api.queues import QueueCreate
from remote_protocol.states import EndReason, JobState
from remote_server.domain.changes import Rejected
from remote_server.domain.model import Principal
from remote_server.errors import Conflict, NoAgentMatches, NotFound, UnknownQueue
from remote_server.store import Store
from tests.support.grouped import counted, group_of, grouped, registered
from tests.support.stored import NOW, finish, offered, started, submitted

USER = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "eve", "", "api")


async def run_member(store: Store, group: str, agent: str, code: int = 0) -> None:
    """Give a member to its agent, run it to its end."""
    (job,) = [one.job for one in await store.members(group, 100) if one.agent == agent]
    (lease,) = await store.assign([(job, agent)], NOW)
    await finish(store, await started(store, lease), code, agent=agent)


async def test_a_group_has_a_job_for_each_agent_that_matches(store: Store) -> None:
    await registered(store, ["a", "b"], {"role": "web"})
    await registered(store, ["c"], {"role": "db"})
    group, made = await store.submit_group(
        group_of(select={"labels": {"role": "web"}}, max_parallel=1, spec={"name": "patch"}),
        NOW,
        USER,
    )
    assert made and group.size == 2 and group.state is GroupState.RUNNING
    assert (group.name, group.max_parallel, group.labels) == ("patch", 1, {"role": "web"})
    assert group.submitted_by == Principal(USER.id, USER.name)
    members = await store.members(group.id, 100)
    assert [(one.agent, one.state) for one in members] == [
        ("a", JobState.QUEUED),
        ("b", JobState.QUEUED),
    ]
    job = await store.job(members[0].job)
    assert (job.spec.agent, job.group, job.spec.labels) == ("a", group.id, {})
    assert [event.detail for event in await store.timeline(job.id)] == [
        f"member of group {group.id}"
    ]
    assert await store.demands() == {}, "a member is not among the jobs that are ready"
    page, _ = await store.audit_page(limit=1)
    assert (page[0].action, page[0].subject) == ("group.submit", group.id)


async def test_ids_of_members_are_given_to_nobody_else(store: Store) -> None:
    await registered(store, [f"a{number}" for number in range(20)])
    group = await grouped(store)
    others = [await submitted(store) for _ in range(5)]
    members = [one.job for one in await store.members(group.id, 100)]
    assert len(set(members) | set(others)) == 25
    assert all(other > max(members) for other in others)


async def test_members_come_in_pages(store: Store) -> None:
    await registered(store, ["a", "b", "c"])
    group = await grouped(store)
    first = await store.members(group.id, 2)
    rest = await store.members(group.id, 2, first[-1].job)
    assert [one.agent for one in first + rest] == ["a", "b", "c"]


async def test_nobody_matches(store: Store) -> None:
    await registered(store, ["a"])
    with pytest.raises(NoAgentMatches, match="serves queue 'default' and has gpu=true, so that"):
        await grouped(store, select={"labels": {"gpu": "true"}})
    with pytest.raises(UnknownQueue):
        await grouped(store, spec={"queue": "nowhere"})
    assert await store.groups(10) == []
    assert await store.matching_agents(group_of()) == ["a"]
    assert await store.matching_agents(group_of(), available=()) == []


async def test_the_same_key_makes_no_second_group(store: Store) -> None:
    await registered(store, ["a"])
    wanted = group_of(spec={"idempotency_key": "k"})
    first, made = await store.submit_group(wanted, NOW, USER)
    assert made
    again, made = await store.submit_group(wanted, NOW + 5, USER)
    assert again == first and not made
    with pytest.raises(Conflict, match="was used for a different group"):
        await store.submit_group(group_of(spec={"idempotency_key": "k"}, max_parallel=1), NOW, USER)
    other, made = await store.submit_group(wanted, NOW)
    assert made and other.id != first.id
    assert (await store.job((await store.members(first.id, 1))[0].job)).spec.idempotency_key is None


async def test_counts_follow_the_members(store: Store) -> None:
    await registered(store, ["a", "b", "c"])
    group = await grouped(store)
    await run_member(store, group.id, "a")
    assert counted(await store.group(group.id)) == {"queued": 2, "succeeded": 1}
    await run_member(store, group.id, "b", 3)
    job = (await store.members(group.id, 9))[2].job
    await store.request_cancel(job, "", NOW)
    found = await store.group(group.id)
    assert counted(found) == {"succeeded": 1, "failed": 1, "cancelled": 1}
    assert found.state is GroupState.FAILED and found.ended_at == NOW
    assert [one.exit_code for one in await store.members(group.id, 9)] == [0, 3, None]


async def test_no_more_start_than_may_at_the_same_time(store: Store) -> None:
    await registered(store, ["a", "b", "c"])
    group = await grouped(store, max_parallel=2)
    jobs = [(one.job, one.agent) for one in await store.members(group.id, 9)]
    leases = await store.assign(jobs, NOW)
    assert [lease.agent for lease in leases] == ["a", "b"]
    assert await store.assign(jobs, NOW) == []
    await finish(store, await started(store, leases[0]))
    assert [lease.agent for lease in await store.assign(jobs, NOW)] == ["c"]


async def test_a_member_that_comes_back_takes_no_place(store: Store) -> None:
    await registered(store, ["a", "b"])
    group = await grouped(store, max_parallel=1)
    jobs = [(one.job, one.agent) for one in await store.members(group.id, 9)]
    (lease,) = await store.assign(jobs[:1], NOW)
    await store.withdraw(lease.key, "it left", NOW)
    found = await store.group(group.id)
    assert counted(found) == {"queued": 2} and found.room == 1
    assert await store.demands() == {}
    (lease,) = await store.assign(jobs[1:], NOW)
    await store.record("b", Rejected(lease.key, "it is not allowed"), NOW)
    assert counted(await store.group(group.id)) == {"queued": 1, "failed": 1}


async def test_failures_halt_it(store: Store) -> None:
    await registered(store, ["a", "b", "c", "d"])
    group = await grouped(store, halt_on_failures=2, max_parallel=3)
    jobs = [(one.job, one.agent) for one in await store.members(group.id, 9)]
    leases = await store.assign(jobs[:3], NOW)
    keys = [await started(store, lease) for lease in leases]
    await finish(store, keys[0], 1, agent="a")
    assert not (await store.group(group.id)).stopped
    await finish(store, keys[1], 1, agent="b", now=NOW + 1)
    found = await store.group(group.id)
    assert found.halted_at == NOW + 1
    assert await store.assign(jobs[3:], NOW) == [], "nothing starts before its members are ended"
    assert await store.stopped_groups() == [group.id]
    last = await store.end_members(group.id, NOW + 2)
    assert last == jobs[3][0] and await store.end_members(group.id, NOW, last) is None
    job = await store.job(jobs[3][0])
    assert (job.state, job.end_reason) == (JobState.CANCELLED, EndReason.CANCELLED)
    assert job.end_detail == (
        "cancelled while it waited: its group was halted: 2 jobs of its group had failed "
        "(halt_on_failures 2)"
    )
    assert (await store.job(jobs[2][0])).state is JobState.RUNNING, "what runs is left"
    await finish(store, keys[2], 0, agent="c", now=NOW + 9)
    found = await store.group(group.id)
    assert (found.state, found.ended_at) == (GroupState.FAILED, NOW + 9)
    assert await store.stopped_groups() == []


async def test_failures_of_the_last_members_halt_nothing(store: Store) -> None:
    await registered(store, ["a"])
    group = await grouped(store, halt_on_failures=1)
    await run_member(store, group.id, "a", 1)
    found = await store.group(group.id)
    assert (found.halted_at, found.state) == (None, GroupState.FAILED)


async def test_a_member_that_expires_counts_as_failed(store: Store) -> None:
    await registered(store, ["a", "b"])
    group = await grouped(store, spec={"expires_in": 5.0}, halt_on_failures=2)
    assert len(await store.expire_waiting(NOW + 6)) == 2
    found = await store.group(group.id)
    assert counted(found) == {"failed": 2} and found.ended_at == NOW + 6


async def test_it_is_cancelled_whole(store: Store) -> None:
    await registered(store, ["a", "b"])
    group = await grouped(store)
    (job, other) = [one.job for one in await store.members(group.id, 9)]
    (lease,) = await store.assign([(job, "a")], NOW)
    key = await started(store, lease)
    cancelled = await store.cancel_group(group.id, "wrong host", NOW + 1, USER)
    assert cancelled.cancel_requested_at == NOW + 1 and cancelled.stopped
    assert await store.assign([(other, "b")], NOW + 1) == []
    again = await store.cancel_group(group.id, "again", NOW + 2, USER)
    assert again == cancelled
    assert await store.end_members(group.id, NOW + 3) == other
    assert (await store.job(other)).end_detail == (
        "cancelled while it waited: its group was cancelled: wrong host"
    )
    assert (await store.job(job)).cancel_detail == "its group was cancelled: wrong host"
    await finish(store, key, None, EndReason.CANCELLED)
    found = await store.group(group.id)
    assert found.state is GroupState.CANCELLED and counted(found) == {"cancelled": 2}
    with pytest.raises(NotFound):
        await store.cancel_group("01ARZ3NDEKTSV4RRFFQ69G5FAV", "", NOW)


async def test_a_retry_in_a_stopped_group_is_ended(store: Store) -> None:
    await registered(store, ["a", "b"])
    group = await grouped(store, spec={"max_attempts": 2, "retry_on": ["exit"]})
    (job, _) = [one.job for one in await store.members(group.id, 9)]
    (lease,) = await store.assign([(job, "a")], NOW)
    key = await started(store, lease)
    stopping: set[str] = set()
    store.on_commit(lambda changes: stopping.update(changes.stopping))
    await finish(store, key, 1)
    assert (await store.job(job)).not_before == NOW + 1
    assert not stopping
    await store.cancel_group(group.id, "", NOW + 1)
    assert stopping == {group.id}
    await store.end_members(group.id, NOW + 1)
    assert counted(await store.group(group.id)) == {"cancelled": 2}


async def test_groups_are_listed_by_queue(store: Store) -> None:
    await store.create_queue(QueueCreate(name="q"), NOW)
    await registered(store, ["a"])
    await store.update_agent("a", AgentChange(queues=["default", "q"]))
    first = await grouped(store, NOW)
    second = await grouped(store, NOW + 1, spec={"queue": "q"})
    third = await grouped(store, NOW + 2)
    assert [one.id for one in await store.groups(2)] == [third.id, second.id]
    assert [one.id for one in await store.groups(9, second.id)] == [first.id]
    assert [one.id for one in await store.groups(9, queues=["q"])] == [second.id]
    assert [one.id for one in await store.groups(2, queues=["q", "default"])] == [
        third.id,
        second.id,
    ]


async def test_a_group_is_forgotten_with_its_last_job(store: Store) -> None:
    await registered(store, ["a", "b"])
    group = await grouped(store)
    first, second = [one.job for one in await store.members(group.id, 9)]
    await run_member(store, group.id, "a")
    await run_member(store, group.id, "b")
    assert await store.forget_jobs([first]) == 1
    assert (await store.group(group.id)).size == 2
    assert await store.forget_jobs([second]) == 1
    with pytest.raises(NotFound):
        await store.group(group.id)


async def test_a_job_without_a_group_is_as_it_was(store: Store) -> None:
    lease = await offered(store)
    assert (await store.job(lease.key.job)).group is None
    key = await started(store, lease)
    await finish(store, key)
    assert (await store.job(key.job)).state is JobState.SUCCEEDED
