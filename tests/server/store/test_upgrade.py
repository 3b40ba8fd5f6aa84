"""A database is created, upgraded, or refused with a sentence that says what to do."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from remote_server.errors import DatabaseUnusable
from remote_server.store import Store, upgrade
from remote_server.store.schema import HEAD, metadata
from remote_server.store.upgrade import database_path, known_versions, prepare
from tests.support.stored import finish, running

FIRST_ROWS = """
INSERT INTO jobs (id, state, queue, priority, demand, policy, created_at, attempt, used, reuse,
    held, agent, exit_code, end_reason, end_detail, cancel_detail, started_at, ended_at, log_size)
VALUES ('01ARZ3NDEKTSV4RRFFQ69G5FAV', 'succeeded', 'default', 0, '["default",[],null]',
    '[1,["lost"],1.0,600.0,false,null,10.0]', 5, 1, 1, 0, 0, 'a', 0, 'exit', '', '', 6, 7, 12);
INSERT INTO job_specs VALUES ('01ARZ3NDEKTSV4RRFFQ69G5FAV',
    '{"command":["true"],"files":[{"path":"ü","content":"eA=="}],"timeout":0.1}');
INSERT INTO attempts VALUES
    ('01ARZ3NDEKTSV4RRFFQ69G5FAV', 1, 'a', 'default', 'ended', 5, 5, 6, 7, 0, 'exit', '', null,
    12, 1, 0);
"""


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
    upgrade.upgrade(migrated)
    assert columns(fresh) == columns(migrated)
    assert indexes(fresh) == indexes(migrated)
    assert len(indexes(fresh)) > 10
    for path in (fresh, migrated):
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        engine.dispose()
    assert prepare(migrated) is False


def test_the_head_is_the_newest_migration() -> None:
    assert known_versions()[0] == HEAD


def test_creating_is_quick_and_private(tmp_path: Path) -> None:
    best = 1.0
    for number in range(3):
        begun = time.perf_counter()
        prepare(tmp_path / f"{number}.db")
        best = min(best, time.perf_counter() - begun)
    assert best < 0.15
    if os.name == "posix":
        assert (tmp_path / "0.db").stat().st_mode & 0o777 == 0o600


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


def first_version(path: Path) -> None:
    """A database as the first version left it, with a job that has ended."""
    path.touch()
    upgrade.upgrade(path, "0001")
    with closing(sqlite3.connect(path)) as database:
        database.executescript(FIRST_ROWS)


async def test_what_an_older_database_holds_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    first_version(path)
    store = await Store.open(str(path))
    try:
        job = await store.job("01ARZ3NDEKTSV4RRFFQ69G5FAV")
        assert (job.spec.command, job.spec.timeout, job.exit_code) == (["true"], 0.1, 0)
        assert [(file.path, file.content) for file in job.spec.files] == [("ü", "eA==")]
        assert [found.spec.files for found in (await store.jobs())[0]] == [[]]
        (attempt,) = await store.attempts_of(job.id)
        assert (attempt.log_size, attempt.log_complete) == (12, True)
        (log,) = await store.kept_logs()
        assert (log.size, log.checksum) == (12, None)
        key = await running(store)
        await finish(store, key, checksum=9)
        assert (await store.kept_logs())[-1].checksum == 9
    finally:
        await store.close()


def test_an_older_database_waits_for_migrate_when_told_so(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    first_version(path)
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


def test_urls(tmp_path: Path) -> None:
    assert database_path("sqlite:////var/lib/s.db") == Path("/var/lib/s.db")
    assert database_path("sqlite+pysqlite:////var/lib/s.db") == Path("/var/lib/s.db")
    assert database_path(str(tmp_path / "x.db")) == tmp_path / "x.db"
    with pytest.raises(DatabaseUnusable, match="would forget every job"):
        database_path("sqlite://")
    for url in ("postgresql://user:secret@host/db", "::://"):
        with pytest.raises(DatabaseUnusable, match="does not support") as caught:
            database_path(url)
        assert "secret" not in str(caught.value)
