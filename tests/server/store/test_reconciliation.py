"""What a hello is answered with: one read, of one moment, in the order of the commits."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid
from remote_protocol.messages import Hello
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.changes import Lost
from remote_server.errors import NotFound
from remote_server.store import Store
from remote_server.store.reconciliation import Known, Reconciliation
from tests.support.databases import copied
from tests.support.stored import NOW, finish, offered, running

HELLO = Hello(
    oldest=1,
    newest=1,
    session="01ARZ3NDEKTSV4RRFFQ69G5FAV",
    agent_version="1",
    installation="01ARZ3NDEKTSV4RRFFQ69G5FAW",
)


async def reconciled(store: Store, keys: list[AttemptId], known: Known | None = None) -> Any:
    found: list[Reconciliation] = []
    await store.reconcile("a", keys, known or Known(), found.append)
    return found[0]


async def test_everything_is_known_by_one_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.bump_epoch("a", HELLO, "", NOW)
    live, done = await running(store), await running(store)
    await finish(store, done)
    lost = await running(store, max_attempts=2, on_disconnect={"on_return": "keep_first"})
    await store.record("a", Lost(lost, "silent"), NOW)
    other = await running(store, "b")
    never = AttemptId(live.job, 7)
    reads: list[object] = []
    read = store._database.read

    async def counted(operation: Any, **more: Any) -> Any:
        reads.append(operation)
        return await read(operation, **more)

    monkeypatch.setattr(store._database, "read", counted)
    found = await reconciled(store, [live, done, lost, other, never])
    assert len(reads) == 1
    assert found.agent.name == "a"
    assert found.leases.keys() == {live, lost}
    assert found.leases[lost].may_return
    assert (found.known.ended, found.known.left_alone) == ({done}, set())


async def test_what_was_looked_up_before_is_not_read_again(store: Store) -> None:
    await store.bump_epoch("a", HELLO, "", NOW)
    live, done = await running(store), await running(store)
    known = await store.look_up("a", [done])
    await finish(store, done)
    found = await reconciled(store, [live, done], known)
    assert found.leases.keys() == {live, done}, "as it was found then"
    assert (await reconciled(store, [live, done])).known.ended == {done}


async def test_no_commit_is_told_between_the_read_and_its_use(store: Store) -> None:
    """Or an offer, or a wish, could be overlooked."""
    await store.bump_epoch("a", HELLO, "", NOW)
    told, compared = 0, 0

    def committed(changes: ChangeSet) -> None:
        nonlocal told
        told += changes.state_counts.get(("default", "assigned"), 0)

    def compare(found: Reconciliation) -> None:
        nonlocal compared
        compared += 1
        assert len(found.leases) == told, "it has what was told, and nothing else"

    store.on_commit(committed)
    for _ in range(20):
        giving = asyncio.ensure_future(offered(store))
        while not giving.done():
            reading = asyncio.ensure_future(store.reconcile("a", [], Known(), compare))
            await asyncio.sleep(0)
            # The loop is busy: whatever is done meanwhile reaches it in one go.
            time.sleep(0.005)
            await reading
    assert told == 20
    assert compared > 20


async def test_an_agent_that_is_gone_has_no_answer(store: Store) -> None:
    with pytest.raises(NotFound, match="no agent 'a'"):
        await store.reconcile("a", [], Known(), lambda found: None)


async def test_an_answer_that_fails_says_so(store: Store) -> None:
    await store.bump_epoch("a", HELLO, "", NOW)

    def fails(found: Reconciliation) -> None:
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        await store.reconcile("a", [], Known(), fails)


async def test_a_restored_database_leaves_alone_what_it_cannot_tell(
    store: Store, tmp_path: Path
) -> None:
    await store.bump_epoch("a", HELLO, "", NOW)
    live = await running(store)
    found = await Store.open(await copied(store, tmp_path))
    newer = AttemptId(make_ulid(int((NOW + 100) * 1000), bytes(10)), 1)
    later = AttemptId(live.job, 2)
    try:
        await found.begin_life(0, NOW + 500)
        answer = await reconciled(found, [live, newer, later])
        assert answer.leases.keys() == {live}
        assert answer.known.left_alone == {newer, later}
        # So it is after the next start, too.
        await found.begin_life(1, NOW + 600)
        assert (await reconciled(found, [later])).known.left_alone == {later}
    finally:
        await found.close()
