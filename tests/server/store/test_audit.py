"""The audit of a store: lists, filters, the check of the chain, retention, copies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, column, delete, insert, literal_column, table, update
from sqlalchemy.sql import ClauseElement

from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_protocol.spec import CommandSpec
from remote_server.domain.audit import Entry, Recorded
from remote_server.domain.model import Principal
from remote_server.store import Store
from remote_server.store import audit as module
from remote_server.store.audit import AuditFilter
from remote_server.store.postgresql.transaction import AUDIT_END
from remote_server.store.schema import audit, meta
from tests.support.databases import KIND, copied

ALICE = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice", "192.0.2.7", "api")
AT = audit.c.number == bindparam("number")
SEQUENCE = table("sqlite_sequence", column("name"))
END = {
    "sqlite": delete(SEQUENCE).where(SEQUENCE.c.name == literal_column("'audit'")),
    "postgresql": delete(meta).where(meta.c.name == literal_column(f"'{AUDIT_END}'")),
}[KIND]
"""Removes where the chain ends, as the database notes it."""
BOB = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAW", "bob", "192.0.2.8", "api")


@pytest.fixture
async def tampered(database_url: str) -> AsyncIterator[Store]:
    """A store with ten entries, which a test does harm to."""
    opened = await Store.open(database_url)
    await opened.record_audit([Entry(ALICE, "job.cancel", "job", f"j{n}") for n in range(1, 11)])
    yield opened
    await opened.close()


async def listed(store: Store, **wanted: object) -> list[str]:
    found, following = await store.audit_page(AuditFilter(**wanted))  # type: ignore[arg-type]
    assert following is None
    return [f"{row.actor} {row.action} {row.subject}" for row in reversed(found)]


async def _some(store: Store) -> None:
    await store.create_queue(QueueCreate(name="berlin"), 1.0, by=ALICE)
    await store.change_queue("berlin", QueueChange(paused=True), by=BOB)
    await store.change_queue("berlin", QueueChange(description="rack 7"), by=ALICE)
    refused = Entry(BOB, "queue.delete", "queue", "berlin", {}, "forbidden")
    await store.record_audit([refused])


async def test_filters(store: Store) -> None:
    await _some(store)
    create, pause = "alice queue.create berlin", "bob queue.pause berlin"
    change, refused = "alice queue.update berlin", "bob queue.delete berlin"
    assert await listed(store) == [create, pause, change, refused]
    assert await listed(store, actor="alice") == [create, change]
    assert await listed(store, actor=BOB.id) == [pause, refused]
    assert await listed(store, action="queue.p") == [pause]
    assert await listed(store, action="queue.") == [create, pause, change, refused]
    assert await listed(store, action="job") == []
    assert await listed(store, kind="queue", subject="berlin", result="ok", actor="bob") == [pause]
    assert await listed(store, result="refused") == [refused]
    assert await listed(store, result="forbidden") == [refused]
    assert await listed(store, subject="paris") == []


async def test_an_edit_tells_what_changed(store: Store) -> None:
    await _some(store)
    found, _ = await store.audit_page(AuditFilter(action="queue.update"))
    assert found[0].detail == '{"description":{"old":"","new":"rack 7"}}'


async def test_no_secret_is_in_it(store: Store) -> None:
    spec = CommandSpec(
        command=["deploy", "--password=hunter2"], env={"TOKEN": "hunter2"}, name="deploy"
    )
    jobs = await store.submit([spec], 1.0, ALICE)
    await store.create_token("api", "hunter2-hash", "ci", 1.0, by=ALICE)
    await store.request_cancel(jobs[0].id, "no longer needed", 2.0, by=ALICE)
    found, _ = await store.audit_page()
    assert {row.action for row in found} == {"job.submit", "job.cancel", "token.create"}
    assert "hunter2" not in repr(found)


async def test_a_batch_is_one_entry(store: Store) -> None:
    spec = CommandSpec(command=["true"])
    jobs = await store.submit([spec] * 3, 1.0, ALICE)
    ((row,), _) = await store.audit_page()
    assert row.subject == jobs[0].id
    assert row.detail == f'{{"jobs":3,"last":"{jobs[2].id}","queues":["default"]}}'


async def test_times_are_bounds(store: Store) -> None:
    await store.record_audit([Entry(ALICE, "a.b", "job", f"{n}") for n in range(3)])
    found, _ = await store.audit_page()
    at = found[0].at
    assert len(await listed(store, since=at)) == 3
    assert await listed(store, since=at + 0.001) == []
    assert await listed(store, until=at) == []
    assert len(await listed(store, until=at + 0.001)) == 3


async def test_pages_are_stable_while_entries_come(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 3)
    await store.record_audit([Entry(ALICE, "a.b", "job", f"{n}") for n in range(1, 11)])
    first, cursor = await store.audit_page(limit=4)
    await store.record_audit([Entry(ALICE, "a.b", "job", "later")])
    second, end = await store.audit_page(limit=4, cursor=cursor)
    third, last = await store.audit_page(limit=4, cursor=end)
    assert [row.number for row in (*first, *second, *third)] == list(range(10, 0, -1))
    assert last is None


async def test_a_page_ends_when_looking_takes_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 3)
    monkeypatch.setattr(module, "SEARCH_TIME", -1)
    await store.record_audit([Entry(ALICE, "a.b", "job", f"{n}") for n in range(1, 11)])
    pages, cursor = 0, None
    found: list[Recorded] = []
    while True:
        rows, cursor = await store.audit_page(AuditFilter(subject="1"), cursor=cursor)
        found += rows
        pages += 1
        if cursor is None:
            break
    assert (pages, [row.number for row in found]) == (4, [1])


async def test_followers_resume(store: Store) -> None:
    await store.record_audit([Entry(ALICE, "a.b", "job", f"{n}") for n in range(1, 6)])
    rows, after = await store.audit_after(0, limit=2)
    assert ([row.number for row in rows], after) == ([1, 2], 2)
    rows, after = await store.audit_after(after, AuditFilter(subject="4"), limit=2)
    assert ([row.number for row in rows], after) == ([4], 5)
    assert await store.audit_after(after) == ([], 5)


async def test_each_kind_of_harm_is_named(tampered: Store) -> None:
    assert await tampered.audit_fault() is None
    change = update(audit).where(AT).values(actor=bindparam("other"))
    await _run(tampered, change, number=4, other="mallory")
    (said,) = await tampered.check()
    assert said.startswith("entry 4 of the audit (job.cancel of job 'j4') was changed")
    for number in (3, 1):
        await _run(tampered, delete(audit).where(AT), number=number)
        assert await tampered.check() == [f"entry {number} of the audit was removed"]


@pytest.mark.parametrize("first", [10, 9])
async def test_a_missing_end_shows(tampered: Store, first: int) -> None:
    await _run(tampered, delete(audit).where(audit.c.number >= bindparam("least")), least=first)
    gone = [f"entry {first} of the audit was removed"]
    assert await tampered.check() == gone
    # What comes later does not hide it.
    await tampered.record_audit([Entry(ALICE, "a.b", "job", "later")])
    assert [row.number for row in (await tampered.audit_page(limit=2))[0]] == [11, first - 1]
    assert await tampered.check() == gone


async def test_a_whole_audit_that_is_gone_shows(tampered: Store) -> None:
    await _run(tampered, delete(audit))
    assert await tampered.check() == ["entry 1 of the audit was removed"]
    await tampered.record_audit([Entry(ALICE, "a.b", "job", "later")])
    assert await tampered.check() == ["entry 1 of the audit was removed"]


async def test_a_missing_end_shows_after_another_start(tampered: Store, database_url: str) -> None:
    await _run(tampered, delete(audit).where(audit.c.number >= bindparam("least")), least=8)
    await tampered.close()
    again = await Store.open(database_url)
    try:
        await again.begin_life(0, 1.0)
        assert (await again.audit_end()).number == 11
        assert await again.check() == ["entry 8 of the audit was removed"]
    finally:
        await again.close()


async def test_an_entry_that_was_added_shows(tampered: Store) -> None:
    ((last, *_), _) = await tampered.audit_page()
    values = {**last._asdict(), "number": 11}
    added = insert(audit).values({name: bindparam(name) for name in values})
    await _run(tampered, added, **values)
    (said,) = await tampered.check()
    # SQLite notes the number of whatever is added: there the hash tells.
    assert said.startswith(
        {
            "sqlite": "entry 11 of the audit (job.cancel of job 'j10') was changed",
            "postgresql": "entry 11 of the audit was added past the server: 10 is last",
        }[KIND]
    )


async def test_an_end_that_was_set_back_shows(tampered: Store) -> None:
    await _run(tampered, END)
    (said,) = await tampered.check()
    assert said == "entry 1 of the audit was added past the server: 0 is last"


async def test_retention_keeps_a_chain_that_holds(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORGOTTEN", 4)
    await store.record_audit([Entry(ALICE, "a.b", "job", f"{n}") for n in range(1, 11)])
    found, _ = await store.audit_page()
    assert await store.forget_audit(found[0].at - 1) == 0
    assert await store.forget_audit(found[0].at + 1) == 4
    assert await store.audit_fault() is None
    later, _ = await store.audit_page()
    assert [row.number for row in later] == list(range(10, 4, -1))
    while await store.forget_audit(later[0].at + 1e6):
        pass
    # The newest one stays: the chain goes on from it.
    last, _ = await store.audit_page()
    assert [row.number for row in last] == [10]
    assert await store.audit_fault() is None
    await store.record_audit([Entry(ALICE, "a.b", "job", "after")])
    assert await store.audit_fault() is None


async def test_a_copy_goes_on(store: Store, tmp_path: Path) -> None:
    await _some(store)
    url = await copied(store, tmp_path)
    copy = await Store.open(url)
    try:
        await copy.begin_life(0, 1.0)
        await copy.create_queue(QueueCreate(name="paris"), 1.0, by=ALICE)
        assert await copy.check() == []
        found = [row.action for row in (await copy.audit_page())[0]]
        assert found[:2] == ["queue.create", "server.start"]
    finally:
        await copy.close()


async def _run(store: Store, statement: ClauseElement, **values: object) -> None:
    """Do to the table what the store never does."""
    await store._database.write(lambda tx: tx.run(statement, values))
