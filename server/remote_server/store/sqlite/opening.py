"""Makes a SQLite file ready for this program: creates it, or brings an older one up to date.

Touches the database file and its folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from remote_server.errors import DatabaseUnusable
from remote_server.store import versions
from remote_server.store.schema import HEAD

_log = structlog.get_logger("remote_server.store")


def prepare(path: Path, *, migrate: bool = True) -> bool:
    """Create the database, or upgrade an older one; whether anything was done.

    DatabaseUnusable when it is newer than this program, is none of ours, is damaged, cannot be
    opened, or is older and `migrate` is False.
    """
    _make_private(path)
    try:
        version = _version(path)
        if version == HEAD:
            return False
        if version is None:
            _create(path)
            return True
    except (sqlite3.Error, DBAPIError, OSError) as error:
        raise unusable(path, error) from error
    versions.require_older(str(path), version, migrate)
    upgrade(path)
    return True


def unusable(path: Path, error: Exception) -> DatabaseUnusable:
    """What keeps a database from being used, for people."""
    # Without the statement, which SQLAlchemy adds to its own words.
    cause = error.orig if isinstance(error, DBAPIError) else error
    # SQLite says "disk I/O error", too, when there is no room for what lies beside the database.
    full = getattr(cause, "errno", None) == errno.ENOSPC or _little_room(path)
    cure = "; make room on its disk" if full else ""
    return DatabaseUnusable(f"the database {path} cannot be opened: {cause}{cure}")


def _little_room(path: Path) -> bool:
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < 1 << 20
    return False


def upgrade(path: Path, target: str = "head") -> None:
    """Run the migrations up to `target`, in one transaction."""
    with _transaction(path) as connection:
        versions.upgrade(connection, target)


@contextmanager
def _transaction(path: Path) -> Iterator[Connection]:
    engine = _engine(path)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    # Python's sqlite3 would commit before each DDL statement; a half-made schema must not stay.
    @event.listens_for(engine, "connect")
    def _manual(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _version(path: Path) -> str | None:
    """The database's version; None when the file is missing or empty."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as found:
        names = {row[0] for row in found.execute("SELECT name FROM sqlite_master")}
        if not names:
            return None
        if versions.VERSION_TABLE not in names or versions.OURS not in names:
            raise DatabaseUnusable(
                f"{path} is a SQLite database, but not one of remote-server; name another file"
            )
        row = found.execute(f"SELECT version_num FROM {versions.VERSION_TABLE}").fetchone()
    if row is None:
        raise DatabaseUnusable(f"the database {path} does not say its version; restore a backup")
    return str(row[0])


def _make_private(path: Path) -> None:
    """A copy that was restored may be readable by others; so may what SQLite makes beside it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        file = path.with_name(name)
        # Missing, or another user's who looks after it.
        with suppress(OSError):
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)
                _log.warning("others could use the database; its mode is 0600 again", file=name)


def _create(path: Path) -> None:
    # Only its owner may read it: it holds job specifications and hashes of tokens.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    with _transaction(path) as connection:
        versions.create(connection)
