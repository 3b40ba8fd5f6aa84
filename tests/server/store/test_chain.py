"""The end of the chain moves with the transaction that extends it."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sqlalchemy import bindparam, insert, select

from remote_server.domain.audit import ORIGIN, Entry, Link
from remote_server.domain.model import SYSTEM, Principal
from remote_server.errors import NotFound
from remote_server.store import Store, Terms
from remote_server.store.chain import read_anchor, set_anchor
from remote_server.store.ports import OperationFault, Transaction
from remote_server.store.schema import audit

ALICE = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice", "192.0.2.7", "api")
_AGAIN = insert(audit).from_select(
    audit.c.keys(), select(audit).where(audit.c.number == bindparam("wanted"))
)


def entry(name: str) -> Entry:
    return Entry(SYSTEM, "test.do", "test", name)


async def test_entries_of_one_commit_follow_each_other(store: Store) -> None:
    def operation(tx: Transaction) -> None:
        tx.audit("test.do", "test", "mine")

    await asyncio.gather(*(store._database.write(operation, by=ALICE) for _ in range(5)))
    found, _ = await store.audit_page()
    assert [row.number for row in found] == [5, 4, 3, 2, 1]
    assert {(row.actor, row.address) for row in found} == {("alice", "192.0.2.7")}
    assert await store.audit_end() == Link(5, found[0].hash)
    assert await store.audit_fault() is None


async def test_what_is_refused_leaves_no_entry(store: Store) -> None:
    def guilty(tx: Transaction) -> None:
        tx.audit("test.do", "test", "never")
        raise NotFound("test", "never")

    def good(tx: Transaction) -> None:
        tx.audit("test.do", "test", "done")

    futures = [store._database.write(work) for work in (good, guilty, good)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), NotFound, type(None)]
    found, _ = await store.audit_page()
    assert [(row.number, row.subject) for row in found] == [(2, "done"), (1, "done")]
    assert await store.audit_fault() is None


async def test_two_processes_extend_one_chain(store: Store, database_url: str) -> None:
    guest = await Store.open(database_url, Terms(migrate=False, guest=True))
    try:
        for number in range(5):
            await asyncio.gather(
                store.record_audit([entry(f"a{number}")]), guest.record_audit([entry("b")])
            )
    finally:
        await guest.close()
    assert (await store.audit_end()).number == 10
    assert await store.audit_fault() is None


async def test_there_is_none_at_first(store: Store) -> None:
    assert await store._database.read(read_anchor) == ORIGIN
    assert await store.audit_end() == ORIGIN


async def test_a_database_that_refuses_the_entries_undoes_the_end(store: Store) -> None:
    """Entries and the end of the chain are of one transaction."""
    await store.record_audit([entry("first")])
    end = await store.audit_end()

    def torn(tx: Transaction) -> None:
        tx.audit("test.do", "test", "torn")
        # The same number once more: the database refuses the transaction.
        tx.many(_AGAIN, [{"wanted": end.number}])

    with pytest.raises(OperationFault):
        await store._database.write(torn)
    assert await store.audit_end() == end
    await store.record_audit([entry("second")])
    assert (await store.audit_end()).number == 2
    assert await store.audit_fault() is None


async def test_the_anchor_moves(store: Store) -> None:
    for number in (3, 9):
        link = Link(number, "ab")
        await store._database.write(partial(set_anchor, link=link))
        assert await store.audit_anchor() == link
    await store._database.write(partial(set_anchor, link=ORIGIN))
