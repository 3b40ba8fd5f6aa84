"""What can be asked about attempts and leases, on a real database."""

from __future__ import annotations

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.changes import Accepted
from remote_server.errors import Stale
from remote_server.store import Store, attempts
from tests.support.databases import sqlite_plan
from tests.support.stored import NOW, finish, offered, running


async def test_an_agent_gets_its_own_leases(store: Store) -> None:
    first = await offered(store, "a")
    second = await running(store, "a", timeout=60)
    await running(store, "b")
    gone = await running(store, "a")
    await finish(store, gone)
    leases = await store.leases_of("a")
    assert {key: lease.state for key, lease in leases.items()} == {
        first.key: AttemptState.OFFERED,
        second: AttemptState.RUNNING,
    }
    assert leases[second].spec.timeout == 60
    assert await store.leases([first.key, gone, AttemptId(gone.job, 9)], "a") == {first.key: first}


async def test_live_leases_come_in_pages(store: Store) -> None:
    keys = {(agent, await running(store, agent)) for agent in ("b", "a", "a", "c", "b")}
    cancelled = await running(store, "d", timeout=5, grace_period=2)
    await store.request_cancel(cancelled.job, "", NOW)
    seen = []
    after = ("", "", 0)
    while page := await store.live_leases(after, 2):
        seen += page
        after = (page[-1].agent, page[-1].key.job, page[-1].key.number)
    assert [lease.agent for lease in seen] == ["a", "a", "b", "b", "c", "d"]
    assert {(lease.agent, lease.key) for lease in seen} == keys | {("d", cancelled)}
    last = seen[-1]
    assert (last.timeout, last.grace_period, last.cancel_requested) == (5.0, 2.0, True)
    assert (last.lost_after, seen[0].cancel_requested) == (600.0, False)


async def test_live_leases_use_their_index(sqlite_store: Store) -> None:
    where = {"after_agent": "", "after_job": "", "after_number": 0, "count": 1}
    found = sqlite_plan(sqlite_store, attempts._LIVE, where)
    assert "ix_attempts_live" in found
    assert "TEMP B-TREE" not in found


async def test_an_offer_can_be_taken_back_until_it_is_accepted(store: Store) -> None:
    lease = await offered(store)
    await store.record("a", Accepted(lease.key), NOW)
    with pytest.raises(Stale, match="was accepted"):
        await store.withdraw(lease.key, "late", NOW)
    assert lease.key in await store.leases_of("a")


async def test_attempts_of_a_job_are_listed_in_order(store: Store) -> None:
    key = await running(store, max_attempts=2, retry_on=["exit"], retry_backoff=0)
    await finish(store, key, 1)
    await store.release_due(NOW)
    await store.assign([(key.job, "b")], NOW)
    found = await store.attempts_of(key.job)
    assert [(a.number, a.agent, a.exit_code) for a in found] == [(1, "a", 1), (2, "b", None)]
    assert found[0].key == key


@pytest.mark.parametrize("how", ["withdraw", "lose"])
async def test_only_the_agent_that_was_seen_is_taken_from(store: Store, how: str) -> None:
    """It gave the attempt back meanwhile, and another agent has it under the same number."""
    lease = await offered(store)
    await store.withdraw(lease.key, "late", NOW, "a")
    (again,) = await store.assign([(lease.key.job, "b")], NOW)
    assert again.key == lease.key
    with pytest.raises(Stale, match="'a' any more"):
        await getattr(store, how)(lease.key, "late", NOW, "a")
    assert lease.key in await store.leases_of("b")
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    await getattr(store, how)(lease.key, "late", NOW, "b")
    assert told[0].given_up == {lease.key: ("b", "late")}
