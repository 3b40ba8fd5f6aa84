"""Connections to a SQLite file. Opens it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from remote_server.store.ports import Durability

BUSY_TIMEOUT: Final = 2.0
"""Seconds to wait for another process (`token create`, `backup`) that is writing."""
_CACHED_STATEMENTS: Final = 512
_CHECKPOINT_PAGES: Final = 4000


def connect(path: Path, durability: Durability) -> sqlite3.Connection:
    """A connection in autocommit mode, to be used by one thread at a time. sqlite3.Error.

    WAL: readers and the writer do not wait for each other. `full` syncs the WAL at each commit:
    what is acknowledged survives a power cut. `normal` syncs at checkpoints only: a power cut
    may lose the last commits, never the database's integrity (sqlite.org/pragma.html
    #pragma_synchronous).
    """
    # mode=rw: a database file that has vanished is an error, never silently a new one.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        set_synced(connection, durability == "full")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -16384")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_CHECKPOINT_PAGES * 4096}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def set_synced(connection: sqlite3.Connection, synced: bool) -> None:
    """Whether commits from here on wait for the disk; not inside a transaction."""
    connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")


def left_behind(path: Path) -> bool:
    """Whether the database was not closed by its last user, or is in use now."""
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0
