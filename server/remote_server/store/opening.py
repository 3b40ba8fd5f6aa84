"""Opens the database that a URL names: the adapter for it. Nobody else knows which kinds exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from remote_server.errors import DatabaseUnusable
from remote_server.store.ports import Database, Durability

_KINDS: Final = "use sqlite:////absolute/path/server.db or postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a database is opened."""

    durability: Durability = "full"
    migrate: bool = True
    """Bring an older one up to date, else refuse it."""
    guest: bool = False
    """Beside the server that works with it: reads, and writes of rows that no server counts."""
    waits: Callable[[], None] | None = None
    """Wait for another server's end, after calling this; None: refuse at once."""


AS_USUAL: Final = Terms()


async def open_database(url: str, terms: Terms) -> Database:
    """Open a database by its URL, or a SQLite file by its path; make it where it is missing.
    DatabaseUnusable when it is newer than the program, damaged, none of ours, or in use."""
    parsed = _parsed(url)
    if isinstance(parsed, Path):
        from remote_server.store.sqlite.connection import left_behind
        from remote_server.store.sqlite.database import SqliteDatabase
        from remote_server.store.sqlite.opening import prepare

        prepare(parsed, migrate=terms.migrate)
        return SqliteDatabase(parsed, terms.durability, unclean=left_behind(parsed))
    from remote_server.store.postgresql.opening import open_postgresql

    return await open_postgresql(parsed, terms)


def migrate(url: str) -> bool:
    """Bring a database up to date, or make it; whether anything was done. DatabaseUnusable."""
    parsed = _parsed(url)
    if isinstance(parsed, Path):
        from remote_server.store.sqlite.opening import prepare

        return prepare(parsed)
    from remote_server.store.postgresql.opening import prepare_alone

    return prepare_alone(parsed)


def is_shared(url: str) -> bool:
    """Whether servers on other hosts can stand by for the one that works with this database."""
    return not isinstance(_parsed(url), Path)


def missing_file(url: str) -> Path | None:
    """The file that such a database would need and that is not there; None when nothing says so
    before it is opened."""
    parsed = _parsed(url)
    return parsed if isinstance(parsed, Path) and not parsed.exists() else None


def _parsed(url: str) -> Path | URL:
    if "://" not in url:
        return Path(url)
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        # Without its text: there may be a password in it.
        raise DatabaseUnusable(f"the database's URL cannot be read; {_KINDS}") from None
    if kind == "postgresql":
        return parsed
    if kind != "sqlite":
        raise DatabaseUnusable(f"databases of the kind {kind!r} are not supported; {_KINDS}")
    if not parsed.database or parsed.database == ":memory:":
        raise DatabaseUnusable("a database in memory would forget every job; name a file")
    return Path(parsed.database)
