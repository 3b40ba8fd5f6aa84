"""Reads and writes on a connection, in a pipeline and without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.engine import make_url

from remote_server.domain.audit import ORIGIN, Link
from remote_server.errors import StoreUnavailable
from remote_server.store.ports import OperationFault
from remote_server.store.postgresql.connection import Connection, Target, connect
from remote_server.store.postgresql.opening import prepare_alone
from remote_server.store.postgresql.pipeline import Pipeline
from remote_server.store.postgresql.transaction import PostgresReader, PostgresTransaction
from remote_server.store.schema import meta
from tests.support.databases import server
from tests.support.postgresql import database_of

_PUT = insert(meta).values(name=bindparam("name"), value=bindparam("value"))
_VALUE = select(meta.c.name, meta.c.value).where(meta.c.name == bindparam("wanted"))
_DROP = delete(meta).where(meta.c.name == bindparam("wanted"))


@pytest.fixture
def url() -> str:
    url = server().create_database()
    prepare_alone(make_url(url))
    return url


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with closing(connect(Target.of(make_url(url)), 7)) as found:
        yield found


def test_rows_come_back_by_name(connection: Connection) -> None:
    tx = PostgresTransaction(connection, None)
    tx.many(_PUT, [{"name": name, "value": name * 2} for name in ("x", "y")])
    row = tx.one(_VALUE, {"wanted": "x"})
    assert row is not None and row.value == "xx"
    assert [row.name for row in tx.all(_VALUE, {"wanted": "y"})] == ["y"]
    assert tx.one(_VALUE, {"wanted": "z"}) is None


def test_a_pipeline_gives_the_same(connection: Connection) -> None:
    pipeline = Pipeline(connection)
    pipeline.enter()
    tx = PostgresTransaction(connection, pipeline)
    tx.run(_PUT, {"name": "x", "value": "1\0"})
    row = tx.one(_VALUE, {"wanted": "x"})
    assert row is not None and row.value == "1\N{REPLACEMENT CHARACTER}"
    tx.run(_PUT, {"name": "y", "value": "2"})
    assert tx.changed(_DROP, {"wanted": "x"}) == 1
    assert tx.changed(_DROP, {"wanted": "x"}) == 0
    assert tx.all(_VALUE, {"wanted": "x"}) == []
    pipeline.leave()
    assert [row.value for row in PostgresReader(connection).all(_VALUE, {"wanted": "y"})] == ["2"]


def test_a_refusal_shows_with_the_next_result(connection: Connection) -> None:
    tx = PostgresTransaction(connection, None)
    tx.run(_PUT, {"name": "x", "value": "1"})
    with pytest.raises(OperationFault, match="duplicate key"):
        tx.run(_PUT, {"name": "x", "value": "1"})
    pipeline = Pipeline(connection)
    pipeline.enter()
    tx = PostgresTransaction(connection, pipeline)
    tx.run(_PUT, {"name": "x", "value": "1"})
    with pytest.raises(OperationFault, match="duplicate key"):
        tx.one(_VALUE, {"wanted": "x"})


def test_a_connection_that_was_cut_is_unavailable(connection: Connection, url: str) -> None:
    server().cut(database_of(url))
    with pytest.raises(StoreUnavailable, match="try again later"):
        PostgresTransaction(connection, None).one(_VALUE, {"wanted": "x"})


def test_a_statement_that_takes_too_long_is_unavailable(connection: Connection) -> None:
    connection.execute("SET statement_timeout = '20ms'")
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        PostgresTransaction(connection, None).plain("SELECT pg_sleep(5)")


def test_a_nul_is_replaced(connection: Connection) -> None:
    tx = PostgresTransaction(connection, None)
    tx.run(_PUT, {"name": "x", "value": "a\0b"})
    row = tx.one(_VALUE, {"wanted": "x"})
    assert row is not None and row.value == "a\N{REPLACEMENT CHARACTER}b"


def test_where_the_audit_ends_goes_back_with_its_transaction(connection: Connection) -> None:
    tx = PostgresTransaction(connection, None)
    assert tx.lock_audit() == ORIGIN
    for number in (1, 2):
        tx.move_audit(Link(number, "ab"))
        assert tx.lock_audit() == tx.audit_end() == Link(number, "ab")
    with suppress(LookupError), connection.transaction():
        tx.move_audit(Link(3, "cd"))
        assert tx.audit_end() == Link(3, "cd")
        raise LookupError
    assert tx.audit_end() == Link(2, "ab")
