"""Connections: what they are set to, the lock, and errors that say what to do without a secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy.engine import make_url

from remote_server.errors import DatabaseUnusable, ServerError, StoreUnavailable
from remote_server.store import Store
from remote_server.store.postgresql.connection import (
    Connection,
    Target,
    connect,
    identity,
    take_lock,
)
from tests.support.databases import server
from tests.support.postgresql import PASSWORD, database_of


@pytest.fixture
def url() -> str:
    return server().create_database()


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with closing(connect(Target.of(make_url(url)), 7)) as found:
        yield found


def value(connection: Connection, query: str) -> object:
    row = connection.execute(query).fetchone()
    return None if row is None else row[0]


def test_statements_have_their_time(connection: Connection) -> None:
    assert value(connection, "SHOW statement_timeout") == "7s"
    assert value(connection, "SHOW idle_in_transaction_session_timeout") == "1min"
    assert value(connection, "SHOW transaction_isolation") == "read committed"
    assert value(connection, "SHOW synchronous_commit") == "on"


def test_durability_normal_does_not_wait_for_the_disk(url: str) -> None:
    with closing(connect(Target.of(make_url(url)), 7, "normal")) as found:
        assert value(found, "SHOW synchronous_commit") == "off"


def test_the_lock_is_held_by_one(url: str, connection: Connection) -> None:
    assert take_lock(connection)
    with closing(connect(Target.of(make_url(url)), 7)) as other:
        assert not take_lock(other)
        elsewhere = server().create_database()
        with closing(connect(Target.of(make_url(elsewhere)), 7)) as third:
            assert take_lock(third), "another database has a lock of its own"
        connection.close()
        while not take_lock(other):
            continue


async def test_an_identity_is_of_one_copy(url: str) -> None:
    store = await Store.open(url)
    await store.close()
    copy = server().copy_database(url)
    with (
        closing(connect(Target.of(make_url(url)), 7)) as found,
        closing(connect(Target.of(make_url(copy)), 7)) as copied,
    ):
        assert identity(found) == identity(found) != identity(copied)
        assert identity(found)


def test_a_password_is_never_shown(url: str) -> None:
    target = Target.of(
        make_url(f"postgresql+psycopg://careful:{PASSWORD}@127.0.0.1/x?sslmode=disable")
    )
    assert PASSWORD not in repr(target)
    assert PASSWORD not in target.name
    assert target.parameters["password"] == PASSWORD


async def test_a_wrong_password_says_what_to_do() -> None:
    url = server().create_database(owner="careful")
    for given, said in (("", "PGPASSWORD"), (":wrong-one", "password authentication failed")):
        with pytest.raises(DatabaseUnusable, match=said) as caught:
            await Store.open(url.replace("careful@", f"careful{given}@"))
        assert "wrong-one" not in str(caught.value)
        assert caught.value.__suppress_context__


async def test_the_right_password_may_stand_in_the_url_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = server().create_database(owner="careful")
    store = await Store.open(url.replace("careful@", f"careful:{PASSWORD}@"))
    await store.close()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    store = await Store.open(url)
    await store.close()


async def test_what_is_missing_says_what_to_do() -> None:
    with pytest.raises(DatabaseUnusable, match="createdb"):
        await Store.open(server().url("nothing"))
    with pytest.raises(DatabaseUnusable, match="does not exist"):
        await Store.open(server().url("postgres", "nobody_there"))
    with pytest.raises(ServerError, match="cannot be used now") as caught:
        await Store.open(server().url("postgres", port=1))
    assert isinstance(caught.value, StoreUnavailable)


def test_the_name_of_a_database_ends_its_url(url: str) -> None:
    assert url.endswith(f"/{database_of(url)}")
