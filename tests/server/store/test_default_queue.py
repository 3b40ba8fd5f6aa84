"""The default queue: who gets it, how it moves, what a repeat finds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_server.domain.model import Principal
from remote_server.domain.secrets import Sealed
from remote_server.errors import Conflict, UnknownQueue
from remote_server.store import Store
from remote_server.store.audit import AuditFilter
from tests.support.grouped import group_of, registered
from tests.support.stored import NOW, spec, submitted

MOVE = QueueChange(default=True)


async def with_berlin(store: Store) -> Store:
    """The same, with a second queue."""
    await store.create_queue(QueueCreate(name="berlin"), NOW)
    return store


async def defaults(store: Store) -> list[str]:
    return [queue.name for queue in await store.queues() if queue.default]


async def test_exactly_one_has_the_flag(store: Store) -> None:
    await with_berlin(store)
    assert await defaults(store) == [await store.default_queue()] == ["default"]
    assert (await store.change_queue("berlin", MOVE)).default
    assert await defaults(store) == [await store.default_queue()] == ["berlin"]
    assert (await store.change_queue("berlin", MOVE)).default, "again changes nothing"
    assert not (await store.change_queue("default", QueueChange(default=False))).default
    with pytest.raises(Conflict, match="there always is one; make another one the default: remote"):
        await store.change_queue("berlin", QueueChange(default=False))
    assert (await store.change_queue("berlin", QueueChange(paused=True))).default
    made = await store.create_queue(QueueCreate(name="paris", default=True), NOW)
    assert made == await store.queue("paris") and made.default
    assert await defaults(store) == [await store.default_queue()] == ["paris"]


async def test_the_first_queue_may_go_when_another_is_the_default(store: Store) -> None:
    await with_berlin(store)
    await store.change_queue("berlin", MOVE)
    with pytest.raises(
        Conflict, match=r"'berlin' is the default one.* make another one the defaul"
    ):
        await store.delete_queue("berlin")
    await store.delete_queue("default")
    await store.begin(NOW)
    assert [queue.name for queue in await store.queues()] == ["berlin"], "as after a restart"
    with pytest.raises(UnknownQueue):
        await store.submit([spec(queue="default")], NOW)


async def test_jobs_that_name_no_queue_go_there(store: Store) -> None:
    await with_berlin(store)
    before = await submitted(store)
    await store.change_queue("berlin", MOVE)
    jobs = await store.submit([spec(), spec(queue="default"), spec(queue="berlin")], NOW)
    assert [job.spec.queue for job in jobs] == ["berlin", "default", "berlin"]
    stored = [await store.job(job.id) for job in jobs]
    assert [job.spec.queue for job in stored] == ["berlin", "default", "berlin"]
    assert (await store.job(before)).spec.queue == "default", "it stays where it is"
    assert {demand.queue for demand in await store.demands()} == {"default", "berlin"}
    assert not await store.refusals(spec())


async def test_a_repeat_finds_its_job_wherever_the_flag_is(store: Store) -> None:
    await with_berlin(store)
    script: dict[str, Any] = {"command": [], "shell": "sh", "script": "echo hi\n" * 1000}
    first = await submitted(store, idempotency_key="k")
    long = await submitted(store, idempotency_key="long", **script)
    await store.change_queue("berlin", MOVE)
    assert await submitted(store, idempotency_key="k") == first
    assert await submitted(store, idempotency_key="long", **script) == long
    assert await submitted(store, idempotency_key="k", queue="default") == first
    with pytest.raises(Conflict, match="was used for a different job"):
        await submitted(store, idempotency_key="k", queue="berlin")
    with pytest.raises(Conflict, match="was used for a different job"):
        await submitted(store, idempotency_key="k", command=["false"])
    other = await submitted(store, idempotency_key="other")
    await store.change_queue("default", MOVE)
    assert await submitted(store, idempotency_key="other") == other
    assert (await store.job(other)).spec.queue == "berlin"


async def test_groups_go_there_too(store: Store) -> None:
    await with_berlin(store)
    await registered(store, ["a"])
    wanted = group_of(spec={"idempotency_key": "k"})
    first, made = await store.submit_group(wanted, NOW)
    assert made and first.queue == "default"
    await store.change_queue("berlin", MOVE)
    again, made = await store.submit_group(wanted, NOW)
    assert (again.id, made) == (first.id, False)
    with pytest.raises(Conflict, match="was used for a different group"):
        await store.submit_group(group_of(spec={"idempotency_key": "k", "queue": "berlin"}), NOW)
    assert await store.matching_agents(group_of()) == [], "no agent serves berlin"
    assert await store.matching_agents(group_of(spec={"queue": "default"})) == ["a"]


async def test_a_new_secret_without_queues_is_for_it(store: Store) -> None:
    await with_berlin(store)
    sealed = Sealed("key1", "nonce", "ciphertext")
    old, _ = await store.put_secret("OLD", sealed, None, NOW)
    await store.change_queue("berlin", MOVE)
    new, _ = await store.put_secret("NEW", sealed, None, NOW)
    kept, _ = await store.put_secret("OLD", sealed, None, NOW)
    assert (old.scope.queues, new.scope.queues, kept.scope.queues) == (
        ("default",),
        ("berlin",),
        ("default",),
    )


async def test_it_is_audited_with_the_former_one(store: Store) -> None:
    await with_berlin(store)
    by = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice")
    await store.change_queue("berlin", MOVE, by)
    entries, _ = await store.audit_page(AuditFilter(action="queue.update"))
    told = {entry.subject: json.loads(entry.detail) for entry in entries}
    assert {entry.actor for entry in entries} == {"alice"}
    assert told == {
        "berlin": {"default": {"old": False, "new": True}, "instead_of": "default"},
    }
