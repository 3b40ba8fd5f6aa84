"""Statements: compiled once for each database, without hidden values, with named columns."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from sqlalchemy import bindparam, insert, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

import remote_server.store
from remote_protocol.errors import LocalProtocolError
from remote_server.store.postgresql.transaction import STATEMENTS as POSTGRESQL
from remote_server.store.schema import attempts, jobs, meta
from remote_server.store.sqlite.transaction import STATEMENTS as SQLITE
from remote_server.store.statements import Statements

_ADAPTERS = {"sqlite", "postgresql", "migrations"}


def constants() -> list[tuple[str, ClauseElement]]:
    found = []
    for module in pkgutil.iter_modules(remote_server.store.__path__):
        if module.name in _ADAPTERS:
            continue
        loaded = importlib.import_module(f"remote_server.store.{module.name}")
        for name, value in vars(loaded).items():
            whole = getattr(value, "is_selectable", False) or getattr(value, "is_dml", False)
            if name.isupper() and isinstance(value, ClauseElement) and whole:
                found.append((f"{module.name}.{name}", value))
    return found


@pytest.mark.parametrize("statements", [SQLITE, POSTGRESQL], ids=["sqlite", "postgresql"])
def test_every_statement_compiles_on_both_databases(statements: Statements) -> None:
    found = constants()
    assert len(found) > 50
    for name, statement in found:
        assert statements[statement] is statements[statement], name
        # A cast would fix the size of a number: /events?after=2^40 would fail.
        assert "CAST" not in statements[statement].text, name
        assert "::" not in statements[statement].text, name


def test_a_statement_with_a_value_inside_is_a_bug() -> None:
    with pytest.raises(LocalProtocolError, match="values inside"):
        SQLITE[select(jobs.c.id).where(jobs.c.state == "queued")]
    plain = select(jobs.c.id).where(jobs.c.state == bindparam("s"))
    assert SQLITE[plain].text.endswith("?") and SQLITE[plain].names == ("s",)
    assert POSTGRESQL[plain].text.endswith("$1")
    assert POSTGRESQL[plain].names == ("s",)


def test_values_are_put_in_order_and_rows_of_an_insert_repeated() -> None:
    put = SQLITE[insert(meta).values(name=bindparam("name"), value=bindparam("value"))]
    assert put.place({"value": "v", "more": 1, "name": "n"}) == ("n", "v")
    assert put.for_rows(3).endswith(" VALUES (?, ?), (?, ?), (?, ?)")
    one = SQLITE[select(meta.c.value).where(meta.c.name == bindparam("s"))]
    assert one.place({"s": "n"}) == ("n",) and SQLITE[select(meta.c.value)].place({}) == ()
    assert not one.row_of_values


def test_rows_are_known_by_the_names_of_their_columns() -> None:
    statement = select(jobs.c.id, jobs.c.state, attempts.c.state.label("attempt_state"))
    row = SQLITE[statement].row(("j", "queued", "lost"))
    assert (row.id, row.state, row.attempt_state) == ("j", "queued", "lost")
    identity, *states = row
    assert (identity, states) == ("j", ["queued", "lost"])


def test_two_columns_of_one_name_are_a_bug() -> None:
    with pytest.raises(LocalProtocolError, match="label them"):
        SQLITE[select(jobs.c.state, attempts.c.state)]


def test_a_write_has_no_rows() -> None:
    with pytest.raises(LocalProtocolError, match="no rows"):
        SQLITE[jobs.delete()].row(("j",))


def test_each_dialect_has_its_own_texts() -> None:
    other = Statements(sqlite.dialect(paramstyle="qmark"))
    statement = select(jobs.c.id).where(jobs.c.id == bindparam("j"))
    assert other[statement].text.endswith("?")
