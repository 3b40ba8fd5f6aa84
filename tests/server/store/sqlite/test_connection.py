"""Durability settings of a connection, and what it refuses."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from remote_server.store.ports import Durability
from remote_server.store.sqlite.connection import connect, left_behind
from remote_server.store.sqlite.opening import prepare


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_durability_is_what_was_asked_for(
    tmp_path: Path, durability: Durability, synchronous: int
) -> None:
    prepare(tmp_path / "s.db")
    with closing(connect(tmp_path / "s.db", durability)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        connect(tmp_path / "s.db", "full")


def test_a_file_that_was_not_closed_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    prepare(path)
    assert not left_behind(path)
    with closing(connect(path, "full")) as connection:
        connection.execute("INSERT INTO meta VALUES ('a', 'b')")
        assert left_behind(path)
    assert not left_behind(path)
