"""What tests of the database on SQLite write, and how they have it wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import bindparam, insert, select

from remote_server.store.ports import Transaction, Urgency
from remote_server.store.schema import meta
from remote_server.store.sqlite.database import SqliteDatabase, SqlitePorts

PUT: Final = insert(meta).values(name=bindparam("name"), value=bindparam("value"))
ALL: Final = select(meta.c.name, meta.c.value).order_by(meta.c.name)


def put(name: str, value: str = "") -> Callable[[Transaction], None]:
    return lambda tx: tx.run(PUT, {"name": name, "value": value})


async def names(database: SqliteDatabase) -> list[str]:
    return [row.name for row in await database.read(lambda reader: reader.all(ALL))]


def offering(name: str) -> Callable[[Transaction], str]:
    def operation(tx: Transaction) -> str:
        tx.run(PUT, {"name": name, "value": ""})
        tx.offers += 1
        return name

    return operation


def ending(name: str) -> Callable[[Transaction], str]:
    def operation(tx: Transaction) -> str:
        tx.run(PUT, {"name": name, "value": ""})
        tx.ends += 1
        return name

    return operation


def waiting(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SqliteDatabase, list[str]]:
    """A database whose open transaction waits for long, and its commits."""
    database = SqliteDatabase(path, ports=SqlitePorts(longest_wait=3600))
    commits: list[str] = []
    commit = database.commit

    def noted() -> None:
        commits.append("commit")
        commit()

    monkeypatch.setattr(database, "commit", noted)
    return database, commits


async def ran(
    database: SqliteDatabase, *operations: Callable[[Transaction], str]
) -> list[asyncio.Future[str]]:
    """The futures of operations that have run."""
    heard = asyncio.Event()
    futures = [database.write(it, urgency=Urgency.RUN) for it in operations[:-1]]
    futures.append(
        database.write(operations[-1], urgency=Urgency.RUN, written=lambda _: heard.set())
    )
    await heard.wait()
    return futures
