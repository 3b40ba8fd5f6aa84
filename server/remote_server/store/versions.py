"""The versions of the schema, on any database: makes it, or brings an older one up to date.

A fresh database is made from schema/ directly, because importing alembic takes longer than
creating the tables; a test proves that the migrations lead to the very same schema. Works on the
connections that adapters give it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from remote_server.errors import DatabaseUnusable
from remote_server.store.schema import HEAD, metadata

MIGRATIONS: Final = Path(__file__).with_name("migrations")
VERSION_TABLE: Final = "alembic_version"
OURS: Final = "jobs"
"""A table by which a database of ours is known."""


def create(connection: Connection) -> None:
    """Make all tables in an empty database."""
    metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(
        f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
        f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} VALUES ('{HEAD}')")


def upgrade(connection: Connection, target: str = "head") -> None:
    """Run the migrations up to `target`, in the transaction of the connection."""
    from alembic import command

    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def known_versions() -> list[str]:
    """The migrations of this program, the newest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_alembic())
    return [script.revision for script in scripts.walk_revisions()]


def require_older(name: str, version: str, migrate: bool) -> None:
    """DatabaseUnusable when a database, whose version is not this program's, is newer, or older
    and must not be migrated now. `name` is for people."""
    if version not in known_versions():
        raise DatabaseUnusable(
            f"the database {name} was written by a newer remote-server (version {version}, this "
            f"program knows up to {HEAD}) or by one before the first release; install that "
            "version, or restore an older backup"
        )
    if not migrate:
        raise DatabaseUnusable(
            f"the database {name} is of an older version ({version}); "
            "bring it up to date with: remote-server migrate"
        )


def _alembic() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
