"""Makes a PostgreSQL database ready for this program, by the one that may write. Touches it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy
from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from remote_server.errors import DatabaseUnusable, StoreUnavailable
from remote_server.store import versions
from remote_server.store.opening import Terms
from remote_server.store.schema import HEAD

try:
    import psycopg

    from remote_server.store.postgresql.connection import (
        STATEMENT_TIMEOUT,
        Connection,
        Target,
        connect,
        take_lock,
    )
    from remote_server.store.postgresql.database import PostgresDatabase
    from remote_server.store.postgresql.session import CLOSED, WriterSession
except ImportError as error:
    raise DatabaseUnusable(
        f"PostgreSQL's driver is missing ({error}); install it with: "
        "pip install 'remote-server[postgresql]'"
    ) from None

STAND_BY: Final = 0.3
"""Seconds between two looks of a stand-by."""
END_TIME: Final = 2.0
"""Seconds in which the session of one that was killed comes to its end."""
_TABLES: Final = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"


async def open_postgresql(url: URL, terms: Terms) -> PostgresDatabase:
    """Take the lock, unless as a guest, and make the database ready. DatabaseUnusable;
    StoreUnavailable when it cannot be reached and nobody is to wait."""
    target = Target.of(url)
    connection = await asyncio.to_thread(connect, target, STATEMENT_TIMEOUT, terms.durability)
    try:
        if not terms.guest:
            connection = await _claimed(target, connection, terms)
        await asyncio.to_thread(_prepare, target, connection, terms.migrate, terms.guest)
        session = WriterSession(target, connection, terms.durability)
        session.guest = terms.guest
        if not terms.guest:
            await asyncio.to_thread(session.claim)
    except BaseException:
        connection.close()
        raise
    return PostgresDatabase(target, session, terms.durability)


def prepare_alone(url: URL) -> bool:
    """Bring a database up to date that no server uses; whether anything was done."""
    target = Target.of(url)
    connection = connect(target, STATEMENT_TIMEOUT)
    try:
        # A session that was closed just now may not be over for the database yet.
        ends = time.monotonic() + END_TIME
        while not take_lock(connection):
            if time.monotonic() > ends:
                raise in_use(target)
            time.sleep(STAND_BY)
        return _prepare(target, connection, True, False)
    finally:
        connection.close()


def in_use(target: Target) -> DatabaseUnusable:
    """Another server has the lock."""
    return DatabaseUnusable(f"a server works with the database {target.name}; stop it first")


async def _claimed(target: Target, connection: Connection, terms: Terms) -> Connection:
    """A connection with the lock, as soon as it is free."""
    waiting, ends = False, time.monotonic() + END_TIME
    while True:
        try:
            if connection.closed:
                connection = await asyncio.to_thread(
                    connect, target, STATEMENT_TIMEOUT, terms.durability
                )
            if await asyncio.to_thread(take_lock, connection):
                return connection
        except (psycopg.Error, StoreUnavailable):
            # The one that waits goes on waiting when the database is away, too.
            if not waiting:
                raise
            connection.close()
        if terms.waits is None:
            if time.monotonic() > ends:
                raise in_use(target)
        elif not waiting:
            terms.waits()
            waiting = True
        await asyncio.sleep(STAND_BY)


def _prepare(target: Target, connection: Connection, migrate: bool, guest: bool) -> bool:
    """Create the tables, or upgrade older ones; whether anything was done."""
    _require_utf8(target, connection)
    version = _version(target, connection)
    if version == HEAD:
        return False
    if guest:
        if version is None:
            raise DatabaseUnusable(
                f"there are no tables of remote-server in the database {target.name}; start the "
                "server once (remote-server run) to make them"
            )
        versions.require_older(target.name, version, False)
    if version is None:
        with _engine(target) as made:
            versions.create(made)
            made.exec_driver_sql(f"INSERT INTO meta VALUES ('{CLOSED}', '1')")
        return True
    versions.require_older(target.name, version, migrate)
    with _engine(target) as older:
        versions.upgrade(older)
    return True


def _require_utf8(target: Target, connection: Connection) -> None:
    row = connection.execute("SHOW server_encoding", prepare=False).fetchone()
    if row is None or row[0] != "UTF8":
        raise DatabaseUnusable(
            f"the database {target.name} is not encoded in UTF8; create it with: "
            "createdb --encoding UTF8 --template template0"
        )


def _version(target: Target, connection: Connection) -> str | None:
    """The version of the tables; None when there are none."""
    names = f"to_regclass('{versions.VERSION_TABLE}'), to_regclass('{versions.OURS}')"
    found = connection.execute(f"SELECT {names}, ({_TABLES})", prepare=False).fetchone()
    assert found is not None
    if found[0] is None or found[1] is None:
        if found[2]:
            raise DatabaseUnusable(
                f"the database {target.name} has tables, but not those of remote-server; name "
                "another one, or give it a schema of its own"
            )
        return None
    query = f"SELECT version_num FROM {versions.VERSION_TABLE}"
    row = connection.execute(query, prepare=False).fetchone()
    if row is None:
        raise DatabaseUnusable(
            f"the database {target.name} does not say its version; restore a backup"
        )
    return str(row[0])


@contextmanager
def _engine(target: Target) -> Iterator[sqlalchemy.Connection]:
    """A transaction of SQLAlchemy; the lock is held by the other connection meanwhile."""

    def made() -> Any:
        return psycopg.connect(**target.parameters)

    engine = create_engine("postgresql+psycopg://", creator=made, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
