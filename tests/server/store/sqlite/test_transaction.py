"""What a connection to SQLite reads and writes, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import bindparam, delete, insert, select

from remote_server.errors import StoreUnavailable
from remote_server.store.ports import OperationFault
from remote_server.store.schema import meta
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
        tx.all(_PUT, {})
    for text, hint in (("database or disk is full", "free some space"), ("locked", "another")):
        error = translated(sqlite3.OperationalError(text))
        assert isinstance(error, StoreUnavailable)
        assert hint in str(error)
