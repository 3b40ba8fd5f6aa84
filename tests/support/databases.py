"""Fresh databases for tests, of the kind that the run is about: REMOTE_TEST_DATABASE says which.

`sqlite` is the default; with `postgresql` a server is started when the first test needs it, one
for each process of the tests, and it ends with the run (tests/conftest.py).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy.sql import ClauseElement

from remote_server.store import Store
from remote_server.store.postgresql.database import PostgresDatabase
from remote_server.store.sqlite.database import SqliteDatabase
from remote_server.store.sqlite.transaction import STATEMENTS
from tests.support.postgresql import PostgresServer

VARIABLE: Final = "REMOTE_TEST_DATABASE"
KINDS: Final = ("sqlite", "postgresql")
KIND: Final = os.environ.get(VARIABLE, "sqlite")
assert KIND in KINDS, f"{VARIABLE} is {KIND!r}; it must be one of {KINDS}"

_stack: Final = ExitStack()


@cache
def server() -> PostgresServer:
    """The PostgreSQL server of this process, started when it is first asked for."""
    return _stack.enter_context(PostgresServer.started())


def new_database(folder: Path, kind: str = KIND) -> str:
    """The URL of a fresh database; one of SQLite is a file `server.db` in the folder."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'server.db'}"
    return server().create_database()


def sqlite_of(store: Store) -> SqliteDatabase:
    """The database of a store on SQLite, for tests that look into it."""
    assert isinstance(store._database, SqliteDatabase)
    return store._database


def sqlite_connection(store: Store) -> sqlite3.Connection:
    """Its connection, which is open."""
    connection = sqlite_of(store)._connection
    assert connection is not None
    return connection


def sqlite_plan(store: Store, statement: ClauseElement, parameters: Mapping[str, object]) -> str:
    """How SQLite would carry out a statement."""
    compiled = STATEMENTS[statement]
    rows = sqlite_connection(store).execute(
        f"EXPLAIN QUERY PLAN {compiled.text}", compiled.place(parameters)
    )
    return " ".join(row[3] for row in rows)


async def copied(store: Store, folder: Path, name: str = "copy") -> str:
    """The URL of a copy of a store's database, made while it is in use."""
    if isinstance(store._database, SqliteDatabase):
        target = folder / f"{name}.db"
        await store.backup(target)
        return f"sqlite:///{target}"
    assert isinstance(store._database, PostgresDatabase)
    url = server().url(store._database._target.parameters["dbname"])
    return await asyncio.to_thread(server().copy_database, url)


@contextmanager
def unavailable(store: Store) -> Iterator[None]:
    """The database of a store cannot be written, for as long as the context lasts."""
    if isinstance(store._database, SqliteDatabase):
        connection = sqlite_connection(store)
        connection.execute("PRAGMA busy_timeout = 10")
        path = store._database.path
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    assert isinstance(store._database, PostgresDatabase)
    name = store._database._target.parameters["dbname"]
    server().admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server().cut(name)
    try:
        yield
    finally:
        server().admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def stop() -> None:
    """The run is over."""
    _stack.close()
