"""A database is created, migrated, stood by for, or refused with what to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from remote_server.errors import DatabaseUnusable, StoreUnavailable
from remote_server.store import Store, Terms, versions
from remote_server.store.opening import migrate
from remote_server.store.postgresql import opening
from remote_server.store.schema import metadata
from tests.support.databases import server
from tests.support.stored import submitted

_COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name"
    " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
)
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def test_migrations_lead_to_the_very_same_schema() -> None:
    fresh, migrated = server().create_database(), server().create_database()
    assert migrate(fresh)
    assert not migrate(fresh)
    engine = create_engine(make_url(migrated).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        versions.upgrade(connection)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    assert rows(fresh, _COLUMNS) == rows(migrated, _COLUMNS)
    assert rows(fresh, _INDEXES) == rows(migrated, _INDEXES)
    assert len(rows(fresh, _INDEXES)) > 15


def test_texts_are_ordered_by_their_bytes_and_numbers_are_large() -> None:
    """Traps 3 and 7."""
    url = server().create_database()
    migrate(url)
    for table, name, kind, _, _, collation in rows(url, _COLUMNS):
        if table != versions.VERSION_TABLE:
            assert kind in ("text", "bigint", "smallint", "double precision"), (table, name)
            assert collation == ("C" if kind == "text" else None), (table, name)


async def test_a_newer_database_is_refused() -> None:
    url = server().create_database()
    migrate(url)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseUnusable, match=r"newer remote-server \(version 9999"):
        await Store.open(url)


async def test_an_older_one_waits_for_migrate_when_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    url = server().create_database()
    migrate(url)
    monkeypatch.setattr(opening, "HEAD", "9999")
    known = versions.known_versions()
    monkeypatch.setattr(versions, "known_versions", lambda: ["9999", *known])
    with pytest.raises(DatabaseUnusable, match="remote-server migrate"):
        await Store.open(url, Terms(migrate=False))
    assert migrate(url)


async def test_foreign_and_empty_databases() -> None:
    url = server().create_database()
    with pytest.raises(DatabaseUnusable, match="no tables of remote-server"):
        await Store.open(url, Terms(migrate=False, guest=True))
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE cookies (name text)")
    with pytest.raises(DatabaseUnusable, match="not those of remote-server"):
        await Store.open(url)


async def test_another_encoding_is_refused() -> None:
    server().admin(
        "CREATE DATABASE latin OWNER remote TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    )
    with pytest.raises(DatabaseUnusable, match="UTF8"):
        await Store.open(server().url("latin"))


async def test_a_second_server_is_refused_or_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "END_TIME", 0.1)
    url = server().create_database()
    store = await Store.open(url)
    with pytest.raises(DatabaseUnusable, match="a server works with the database"):
        await Store.open(url)
    with pytest.raises(DatabaseUnusable, match="stop it first"):
        migrate(url)
    waited: list[bool] = []
    second = asyncio.ensure_future(Store.open(url, Terms(waits=lambda: waited.append(True))))
    while not waited:
        await asyncio.sleep(0.01)
    job = await submitted(store)
    await store.close()
    other = await second
    assert (await other.job(job)).id == job
    assert waited == [True], "it is said once"
    await other.close()


async def test_one_that_stands_by_can_be_told_to_end() -> None:
    url = server().create_database()
    store = await Store.open(url)
    waited = asyncio.Event()
    second = asyncio.ensure_future(Store.open(url, Terms(waits=waited.set)))
    await waited.wait()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await store.close()
    await (await Store.open(url)).close()


async def test_one_that_stands_by_tolerates_a_database_that_is_away() -> None:
    url = server().create_database()
    store = await Store.open(url)
    waited = asyncio.Event()
    second = asyncio.ensure_future(Store.open(url, Terms(waits=waited.set)))
    await waited.wait()
    server().kill()
    await asyncio.sleep(2 * opening.STAND_BY)
    assert not second.done()
    server().start()
    taken = await second
    with pytest.raises(StoreUnavailable):
        await submitted(store)
    await store.close()
    await taken.close()


def test_a_missing_driver_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "import asyncio; from remote_server.store import Store\n"
        "asyncio.run(Store.open('postgresql://remote@127.0.0.1/x'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'remote-server[postgresql]'" in done.stderr.splitlines()[-1]
