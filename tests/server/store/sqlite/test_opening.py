"""A database is created, upgraded, or refused with a sentence that says what to do."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from remote_server.errors import DatabaseUnusable
from remote_server.store import schema, versions
from remote_server.store.schema import metadata
from remote_server.store.sqlite.opening import prepare, upgrade


def indexes(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
    return {(name, " ".join(sql.split())) for name, sql in rows}


def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as database:
        names = [
            row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        return {
            name: database.execute(f"SELECT * FROM pragma_table_xinfo('{name}')").fetchall()
            for name in names
        }


def test_migrations_lead_to_the_very_same_schema(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    fresh, migrated = tmp_path / "fresh.db", tmp_path / "migrated.db"
    assert prepare(fresh) is True
    migrated.touch()
    upgrade(migrated)
    assert columns(fresh) == columns(migrated)
    assert indexes(fresh) == indexes(migrated)
    assert len(indexes(fresh)) > 10
    for path in (fresh, migrated):
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        engine.dispose()
    assert prepare(migrated) is False


def test_a_new_one_is_private(tmp_path: Path) -> None:
    assert prepare(tmp_path / "s.db") is True
    if os.name == "posix":
        assert (tmp_path / "s.db").stat().st_mode & 0o777 == 0o600


def test_an_empty_file_is_a_fresh_database(tmp_path: Path) -> None:
    (tmp_path / "s.db").touch()
    assert prepare(tmp_path / "s.db") is True
    assert prepare(tmp_path / "s.db") is False


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    prepare(path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with pytest.raises(DatabaseUnusable, match=r"newer remote-server \(version 9999") as caught:
        prepare(path)
    assert caught.value.exit_code == 2


def test_an_older_database_waits_for_migrate_when_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    prepare(path)
    monkeypatch.setattr(versions, "known_versions", lambda: ["9999", schema.HEAD])
    monkeypatch.setattr("remote_server.store.sqlite.opening.HEAD", "9999")
    with pytest.raises(DatabaseUnusable, match="remote-server migrate"):
        prepare(path, migrate=False)
    assert prepare(path) is True


def test_foreign_and_damaged_files_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as database:
        database.execute("CREATE TABLE cookies (name)")
    with pytest.raises(DatabaseUnusable, match="not one of remote-server"):
        prepare(foreign)
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database at all, but some text" * 100)
    with pytest.raises(DatabaseUnusable, match="cannot be opened: file is not a database"):
        prepare(damaged)
    with pytest.raises(DatabaseUnusable, match="cannot be opened"):
        prepare(tmp_path / "no such folder" / "s.db")
