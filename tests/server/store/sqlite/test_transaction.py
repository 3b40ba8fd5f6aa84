"""What a connection to SQLite reads and writes, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import bindparam, delete, insert, select

from remote_server.domain.audit import NO_HASH, ORIGIN, Entry
from remote_server.domain.model import SYSTEM
from remote_server.errors import StoreUnavailable
from remote_server.store.chain import extend
from remote_server.store.ports import OperationFault
from remote_server.store.schema import audit, meta
from remote_server.store.sqlite.connection import connect
from remote_server.store.sqlite.opening import prepare
from remote_server.store.sqlite.transaction import STATEMENTS, SqliteTransaction, translated

_PUT = insert(meta).values(name=bindparam("name"), value=bindparam("value"))
_ALL = select(meta.c.name, meta.c.value).order_by(meta.c.name)
_DROP = delete(meta).where(meta.c.name == bindparam("wanted"))


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[SqliteTransaction]:
    prepare(tmp_path / "s.db")
    with closing(connect(tmp_path / "s.db", "normal")) as connection:
        yield SqliteTransaction(connection, STATEMENTS)


def test_rows_come_back_by_name(tx: SqliteTransaction) -> None:
    tx.many(_PUT, [{"name": name, "value": name * 2} for name in "ab"])
    assert [(row.name, row.value) for row in tx.all(_ALL)] == [("a", "aa"), ("b", "bb")]
    first = tx.one(_ALL)
    assert first is not None and first.value == "aa"


def test_only_what_changes_a_row_counts_as_written(tx: SqliteTransaction) -> None:
    assert tx.changed(_DROP, {"wanted": "nothing"}) == 0
    assert not tx.wrote
    tx.run(_PUT, {"name": "a", "value": ""})
    assert tx.wrote
    tx.begin()
    assert tx.changed(_DROP, {"wanted": "a"}) == 1
    assert tx.wrote


def test_errors_are_those_of_the_port(tx: SqliteTransaction) -> None:
    tx.run(_PUT, {"name": "a", "value": ""})
    with pytest.raises(OperationFault, match="UNIQUE"):
        tx.run(_PUT, {"name": "a", "value": ""})
    with pytest.raises(OperationFault):
        tx.many(_PUT, [{"name": "a", "value": ""}])
    with pytest.raises(OperationFault):
        tx.all(_PUT, {"name": object(), "value": ""})
    for text, hint in (("database or disk is full", "free some space"), ("locked", "another")):
        error = translated(sqlite3.OperationalError(text))
        assert isinstance(error, StoreUnavailable)
        assert hint in str(error)


def test_the_audit_changes_one_page_more(tx: SqliteTransaction) -> None:
    """Each page that a commit changes is written: of all that an entry costs, the most."""
    pages = []
    for entries in ([], [Entry(SYSTEM, "a.b", "job", "j")]):
        tx._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for _ in range(4):
            tx._connection.execute("BEGIN IMMEDIATE")
            tx.begin()
            tx.note("j", 1.0, "queued")
            tx.entries += entries
            tx.write_timeline()
            if tx.entries:
                extend(tx, 1.0)
            tx._connection.execute("COMMIT")
        ((_, count, _),) = tx._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        pages.append(count)
    assert pages == [4 * 3, 4 * 4]


def test_the_audit_ends_where_the_newest_entry_was(tx: SqliteTransaction) -> None:
    assert tx.audit_end() == ORIGIN
    tx.entries += [Entry(SYSTEM, "a.b", "job", f"j{n}") for n in range(3)]
    extend(tx, 1.0)
    newest = tx.one(select(audit).where(audit.c.number == bindparam("wanted")), {"wanted": 3})
    assert newest is not None and tx.lock_audit() == (3, newest.hash)
    tx.run(delete(audit).where(audit.c.number > bindparam("least")), {"least": 1})
    assert tx.audit_end() == (3, NO_HASH)


def test_many_rows_are_written_whatever_their_number(tx: SqliteTransaction) -> None:
    for count in (1, 2, 3, 6, 16, 39):
        tx.many(_PUT, [{"value": str(n), "name": f"{count}/{n}"} for n in range(count)])
        found = {row.name: row.value for row in tx.all(_ALL)}
        assert all(found[f"{count}/{n}"] == str(n) for n in range(count))
    before = len(tx.all(_ALL))
    with pytest.raises(OperationFault, match="UNIQUE"):
        tx.many(_PUT, [{"name": "twice", "value": str(n)} for n in range(2)])
    tx.many(_PUT, [])
    assert len(tx.all(_ALL)) == before
