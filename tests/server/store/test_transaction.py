"""Statements are compiled once and carry no hidden values."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ClauseElement

import remote_server.store
from remote_protocol.errors import LocalProtocolError
from remote_server.store.schema import jobs
from remote_server.store.transaction import Statements


def constants() -> list[tuple[str, ClauseElement]]:
    found = []
    for module in pkgutil.iter_modules(remote_server.store.__path__):
        if module.name == "migrations":
            continue
        loaded = importlib.import_module(f"remote_server.store.{module.name}")
        for name, value in vars(loaded).items():
            whole = getattr(value, "is_selectable", False) or getattr(value, "is_dml", False)
            if name.isupper() and isinstance(value, ClauseElement) and whole:
                found.append((f"{module.name}.{name}", value))
    return found


def test_every_statement_compiles_on_both_databases() -> None:
    statements = Statements()
    found = constants()
    assert len(found) > 50
    for name, statement in found:
        assert statements.text(statement) is statements.text(statement), name
        compiled = statement.compile(dialect=postgresql.dialect())
        assert all(value is None for value in compiled.params.values()), name


def test_a_statement_with_a_value_inside_is_a_bug() -> None:
    with pytest.raises(LocalProtocolError, match="values inside"):
        Statements().text(select(jobs.c.id).where(jobs.c.state == "queued"))
    text = Statements().text(select(jobs.c.id).where(jobs.c.state == bindparam("s")))
    assert text.endswith(":s")
