"""Acceptances that are heard of before their commit, and those that are not (ADR 50)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from remote_server.errors import StoreUnavailable
from remote_server.store.ports import (
    Durability,
    Elsewhere,
    Report,
    Transaction,
    Urgency,
)
from remote_server.store.sqlite.database import SqliteDatabase
from tests.support.writes import PUT, ending, names, offering, put, waiting


class Accepting(Report):
    """As the report of an acceptance, which finds its assignment."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, tx: Transaction) -> str:
        tx.run(PUT, {"name": self.name, "value": ""})
        return self.name


async def accepted(database: SqliteDatabase, name: str) -> bool:
    """Write an acceptance; whether it was heard of before its commit."""
    heard: list[str] = []
    await database.write(Accepting(name), urgency=Urgency.BASE, written=heard.append)
    return bool(heard)


async def test_an_acceptance_is_heard_of_and_waits_for_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, commits = waiting(path, monkeypatch)
    await database.write(put("assigned"))
    commits.clear()
    heard = asyncio.Event()
    future = database.write(
        Accepting("accepted"), urgency=Urgency.BASE, written=lambda _: heard.set()
    )
    await heard.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert commits == [] and not future.done()
    started = database.write(put("started"), relaxed=True, urgency=Urgency.NONE)
    assert await database.write(ending("end"), urgency=Urgency.RUN) == "end"
    assert future.result() == "accepted" and started.done() and commits == ["commit"]
    assert await names(database) == ["accepted", "assigned", "end", "started"]
    await database.close()


async def test_what_waits_for_its_run_shares_the_commit_of_an_acceptance(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, commits = waiting(path, monkeypatch)
    await database.write(put("assigned"))
    commits.clear()
    heard = asyncio.Event()
    future = database.write(
        Accepting("accepted"), urgency=Urgency.BASE, written=lambda _: heard.set()
    )
    started = database.write(put("started"), relaxed=True, urgency=Urgency.NONE)
    await heard.wait()
    database._waited_enough()
    assert commits == ["commit"] and future.done() and started.done()
    await database.close()


@pytest.mark.parametrize("durability", ["full", "normal"])
async def test_nothing_is_heard_early_that_rests_on_what_was_found(
    path: Path, durability: Durability
) -> None:
    """Another life may have committed it and died before it was synced."""
    database = SqliteDatabase(path, durability)
    assert not await accepted(database, "first")
    assert await accepted(database, "second")
    await database.close()


async def test_nothing_is_heard_early_that_rests_on_an_assignment_that_is_not_synced(
    path: Path,
) -> None:
    database = SqliteDatabase(path)
    await database.write(put("synced"))
    await database.write(Elsewhere(offering("assigned")), relaxed=True)
    assert not await accepted(database, "first")
    # That commit was synced, and everything before it is safe, too.
    assert await accepted(database, "second")
    # What is not synced and gives nothing to an agent is of no account.
    await database.write(put("started"), relaxed=True)
    assert await accepted(database, "third")
    await database.close()


async def test_nothing_is_heard_early_after_a_failure(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say what of it was stored, and whether that lasts."""
    database = SqliteDatabase(path)
    await database.write(put("before"))
    real = database.commit

    def made_and_denied() -> None:
        real()
        raise StoreUnavailable("the disk could not be synced")

    with monkeypatch.context() as patch:
        patch.setattr(database, "commit", made_and_denied)
        with pytest.raises(StoreUnavailable):
            await database.write(Elsewhere(offering("assigned")))
    # A transaction that writes nothing syncs nothing.
    await database.write(lambda tx: None)
    assert not await accepted(database, "first")
    assert await accepted(database, "second")
    await database.close()
