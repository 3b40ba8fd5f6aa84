"""URLs lead to databases, or to a sentence that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_server.errors import DatabaseUnusable
from remote_server.store import Store
from remote_server.store.opening import is_shared, migrate, missing_file
from remote_server.store.sqlite.database import SqliteDatabase

SECRET = "hunter2"


async def test_a_file_is_named_by_its_path_or_its_url(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    for url in (str(path), f"sqlite:///{path}", f"sqlite+pysqlite:///{path}"):
        store = await Store.open(url)
        assert isinstance(store._database, SqliteDatabase)
        assert store._database.path == path
        await store.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "would forget every job"),
        ("sqlite:///:memory:", "would forget every job"),
        (f"mysql://user:{SECRET}@host/db", "'mysql' are not supported"),
        (f"::://{SECRET}", "cannot be read"),
        (f"postgresql://user:{SECRET}@host:port/db", "cannot be read"),
    ],
)
async def test_other_urls_are_refused_without_their_passwords(url: str, said: str) -> None:
    with pytest.raises(DatabaseUnusable, match=said) as caught:
        await Store.open(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_only_a_database_with_a_server_is_shared() -> None:
    assert is_shared("postgresql://remote@host/jobs")
    assert not is_shared("sqlite:////srv/server.db")


def test_a_missing_file_is_known_before_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    assert missing_file(str(path)) == path
    assert migrate(str(path))
    assert missing_file(str(path)) is None
    assert not migrate(str(path))
    assert missing_file("postgresql://remote@host/jobs") is None
