"""The counts of groups are those of their members, whatever happens to these."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import bindparam, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason, JobState
from remote_server.domain.groups import Group
from remote_server.errors import Stale
from remote_server.store import Store
from remote_server.store.members import (
    agent_of,
    beyond,
    find_group,
    member_range,
    recount_groups,
    write_group,
)
from remote_server.store.ports import Transaction
from remote_server.store.schema import jobs
from tests.support.grouped import counted, grouped, registered
from tests.support.stored import NOW, finish, started

_STATE = update(jobs).where(jobs.c.id == bindparam("job")).values(state=bindparam("new"))


async def really(store: Store, group: Group) -> dict[str, int]:
    states = [one.state.value for one in await store.members(group.id, 1000)]
    return {state.value: n for state in JobState if (n := states.count(state.value))}


@pytest.mark.parametrize("seed", range(5))
async def test_counts_are_true_after_any_history(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"a{number:02}" for number in range(12)]
    await registered(store, names)
    retried = {"max_attempts": 3, "retry_on": ["exit", "lost"], "expires_in": 500.0}
    policy = {"on_disconnect": {"on_return": "keep_first"}}
    group = await grouped(store, max_parallel=4, halt_on_failures=5, spec=retried | policy)
    now, most = NOW, 0
    keys: dict[str, AttemptId] = {}
    for _ in range(150):
        now += chance.random() * 5
        member = chance.choice(await store.members(group.id, 100))
        key = keys.get(member.job)
        try:
            match chance.randrange(8):
                case 0 | 1 | 2:
                    for lease in await store.assign([(member.job, member.agent)], now):
                        keys[member.job] = await started(store, lease, now)
                case 3 | 4 if key is not None:
                    await finish(store, key, chance.choice([0, 1]), agent=member.agent, now=now)
                case 5 if key is not None:
                    await store.lose(key, "silent", now)
                case 6 if chance.random() < 0.2:
                    await store.request_cancel(member.job, "", now)
                case 7:
                    await store.expire_waiting(now)
        except Stale:
            pass
        found = await store.group(group.id)
        most = max(most, found.in_flight)
        assert counted(found) == await really(store, group)
        if found.stopped:
            last = await store.end_members(group.id, now)
            assert last is None or await store.end_members(group.id, now, last) is None
    assert 2 <= most <= 4


async def test_a_group_is_counted_again(store: Store) -> None:
    await registered(store, ["a", "b", "c"])
    group = await grouped(store)
    first, second, third = [one.job for one in await store.members(group.id, 9)]
    (lease,) = await store.assign([(third, "c")], NOW)
    await finish(store, await started(store, lease), 1, EndReason.EXIT, agent="c")
    await store.forget_jobs([third])

    def change(tx: Transaction) -> None:
        tx.run(_STATE, {"job": first, "new": "succeeded"})
        tx.run(_STATE, {"job": second, "new": "cancelled"})
        recount_groups(tx, NOW + 5)

    await store._database.write(change)
    found = await store.group(group.id)
    assert counted(found) == {"succeeded": 1, "failed": 1, "cancelled": 1}
    assert found.ended_at == NOW + 5


async def test_what_a_transaction_leaves_of_a_group_is_told(store: Store) -> None:
    await registered(store, ["a"])
    group = await grouped(store, max_parallel=1)
    told = []
    store.on_commit(lambda changes: told.append(changes.groups))
    await store._database.write(lambda tx: write_group(tx, group))
    assert told[-1][group.id] == (1, True, False)
    assert await store._database.read(lambda reader: find_group(reader, "0" * 26)) is None


def test_the_range_of_a_group() -> None:
    group = "01M8EH5C2DF25PDKSJZGH96QP0"
    assert beyond(group) == "01M8EH5C2D~"
    assert group < "01M8EH5C2DZZZZZZZZZZZZZZZZ" < beyond(group) < "01M8EH5C2E0000000000000000"
    assert member_range(group) == {"group": group, "beyond": "01M8EH5C2D~"}
    assert agent_of('["q",[],null,"a"]') == "a" and agent_of('["q",[],null]') == ""
