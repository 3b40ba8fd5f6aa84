"""Statements that are sent together, on a real server."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from remote_protocol.errors import LocalProtocolError
from remote_protocol.states import JobState
from remote_server.store.postgresql.connection import Connection, Target, connect
from remote_server.store.postgresql.pipeline import Pipeline
from tests.support.databases import server
from tests.support.postgresql import database_of


@pytest.fixture
def url() -> str:
    return server().create_database()


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with closing(connect(Target.of(make_url(url)), 7)) as found:
        found.execute("CREATE TABLE t (number bigint UNIQUE, text text)")
        yield found


@pytest.fixture
def pipeline(connection: Connection) -> Pipeline:
    found = Pipeline(connection)
    found.enter()
    return found


def stored(connection: Connection) -> list[int]:
    rows = connection.execute("SELECT number FROM t ORDER BY number").fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("value", "type"),
    [
        ("text äöü", "text"), (JobState.QUEUED, "text"), (2**63 - 1, "bigint"), (-1, "bigint"),
        (0.1, "float8"), (True, "bool"), (False, "bool"), (b"\0\xff", "bytea"), (None, "text"),
    ],
)  # fmt: skip
def test_values_come_back_as_they_went(pipeline: Pipeline, value: Any, type: str) -> None:
    rows = pipeline.rows(pipeline.send(f"SELECT $1::{type}", (value,)))
    assert rows == [(value,)]


def test_a_nul_does_not_cut_a_text_short(pipeline: Pipeline) -> None:
    sent = pipeline.send("SELECT $1::text", ("a\0b",))
    assert pipeline.rows(sent) == [("a\N{REPLACEMENT CHARACTER}b",)]


def test_what_no_column_takes_is_our_own_fault(pipeline: Pipeline) -> None:
    with pytest.raises(LocalProtocolError, match="no column takes a list"):
        pipeline.send("SELECT $1", ([],))
    with pytest.raises(OverflowError):
        pipeline.send("SELECT $1", (2**63,))


def test_nothing_is_sent_before_a_result_is_wanted(
    connection: Connection, pipeline: Pipeline
) -> None:
    with closing(psycopg.connect(connection.info.dsn, autocommit=True)) as other:
        for number in range(3):
            pipeline.send("INSERT INTO t VALUES ($1)", (number,))
        # The first one would be seen, or an answer be there.
        assert select.select([connection.pgconn.socket], [], [], 0.2)[0] == []
        assert stored(other) == []
        assert pipeline.count(pipeline.send("DELETE FROM t WHERE number < $1", (2,))) == 2
        pipeline.leave()
        assert stored(other) == [2]


def test_a_statement_is_prepared_once_for_each_kind_of_values(
    connection: Connection, pipeline: Pipeline
) -> None:
    for values in ((1, "a"), (2, "b"), (3, None), (4, None)):
        pipeline.send("INSERT INTO t VALUES ($1, $2)", values)
    pipeline.leave()
    found = connection.execute("SELECT name FROM pg_prepared_statements WHERE name ~ '^remote'")
    assert len(found.fetchall()) == 2


def test_after_a_refusal_nothing_counts_until_the_end(
    connection: Connection, pipeline: Pipeline
) -> None:
    pipeline.send("BEGIN")
    pipeline.send("INSERT INTO t VALUES ($1)", (1,))
    pipeline.send("INSERT INTO t VALUES ($1)", (1,))
    never = pipeline.send("SELECT number FROM t WHERE number = $1", (1,))
    with pytest.raises(psycopg.errors.UniqueViolation):
        pipeline.rows(never)
    with pytest.raises(psycopg.errors.PipelineAborted):
        pipeline.leave()
    connection.execute("ROLLBACK")
    # What was not prepared because of it is prepared now.
    pipeline.enter()
    assert pipeline.rows(pipeline.send("SELECT number FROM t WHERE number = $1", (1,))) == []
    pipeline.leave()
    assert stored(connection) == []


def test_what_the_server_has_forgotten_is_prepared_again(
    connection: Connection, pipeline: Pipeline
) -> None:
    statements = ("SELECT 1", "SELECT 2", "SELECT 3")
    for statement in statements:
        pipeline.send(statement)
    pipeline.leave()
    pipeline.command("DEALLOCATE ALL")
    pipeline.enter()
    pipeline.send(statements[0])
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        pipeline.leave()
    pipeline.enter()
    replies = [pipeline.send(statement) for statement in statements]
    assert [pipeline.rows(reply) for reply in replies] == [[(1,)], [(2,)], [(3,)]]
    pipeline.leave()


def test_a_command_leaves_alone_what_is_prepared(
    connection: Connection, pipeline: Pipeline
) -> None:
    """The driver's own would not, after a ROLLBACK."""
    pipeline.send("SELECT 1")
    pipeline.leave()
    connection.execute("SELECT 2")
    pipeline.command("BEGIN")
    pipeline.command("SAVEPOINT operation")
    with pytest.raises(psycopg.errors.UndefinedTable):
        pipeline.command("DELETE FROM nothing")
    pipeline.command("ROLLBACK TO SAVEPOINT operation")
    pipeline.command("ROLLBACK")
    connection.execute("SELECT 2")
    pipeline.enter()
    assert pipeline.rows(pipeline.send("SELECT 1")) == [(1,)]
    pipeline.leave()


def test_the_end_names_what_was_refused_first(connection: Connection, pipeline: Pipeline) -> None:
    pipeline.send("SELECT nothing")
    pipeline.send("SELECT 1")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        pipeline.leave()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_more_than_both_buffers_hold(connection: Connection, pipeline: Pipeline) -> None:
    """Both ends would wait for each other if one only sent."""
    text = os.urandom(50_000).hex()
    replies = [pipeline.send("SELECT $1::text", (text,)) for _ in range(300)]
    assert all(pipeline.rows(reply) == [(text,)] for reply in replies)
    pipeline.leave()


def test_a_connection_that_was_cut_shows_before_anything_is_sent(
    connection: Connection, url: str
) -> None:
    pipeline = Pipeline(connection)
    server().cut(database_of(url))
    # Its last words come before the end of its process.
    ended = select.poll()
    ended.register(connection.pgconn.socket, select.POLLRDHUP)
    assert ended.poll(10_000)
    with pytest.raises(psycopg.OperationalError):
        pipeline.enter()
        pipeline.send("SELECT 1")
    assert connection.closed


def test_a_connection_that_is_cut_meanwhile(
    connection: Connection, pipeline: Pipeline, url: str
) -> None:
    pipeline.send("INSERT INTO t VALUES ($1)", (1,))
    server().cut(database_of(url))
    with pytest.raises(psycopg.OperationalError):
        pipeline.rows(pipeline.send("SELECT 1"))
    with pytest.raises(psycopg.OperationalError):
        pipeline.leave()
    assert connection.closed
