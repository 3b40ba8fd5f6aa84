"""Transactions that wait for their commit: who hears of a result before it, and what shares it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from remote_server.domain.change_set import ChangeSet
from remote_server.errors import StoreUnavailable
from remote_server.store.ports import (
    OperationFault,
    Reader,
    Urgency,
)
from remote_server.store.private_inputs import PrivateInputs
from remote_server.store.repository import Ulids
from remote_server.store.secrets import Secrets
from remote_server.store.sqlite.database import SqliteDatabase
from tests.support.stored import NOW
from tests.support.writes import ALL, ending, names, offering, put, ran, waiting


async def test_a_result_is_heard_before_the_commit_holds_the_loop(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = SqliteDatabase(path)
    steps: list[str] = []
    commit = database.commit

    def noted() -> None:
        steps.append("commit")
        commit()

    monkeypatch.setattr(database, "commit", noted)
    loop = asyncio.get_running_loop()

    def heard(_: None) -> None:
        steps.append("heard")
        loop.call_soon(steps.append, "sent")

    await asyncio.gather(database.write(put("a"), written=heard), database.write(put("b")))
    assert steps == ["heard", "sent", "commit"]
    # A read never sees what may be undone: what is open is committed before it.
    steps.clear()
    seen: list[asyncio.Task[list[str]]] = []
    write = database.write(
        put("c"), written=lambda _: seen.append(loop.create_task(names(database)))
    )
    await write
    assert await asyncio.gather(*seen) == [["a", "b", "c"]]
    assert steps == ["commit"]
    await database.close()


async def test_what_was_heard_before_a_commit_that_fails_is_not_stored(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = SqliteDatabase(path)
    await database.write(put("before"))
    heard: list[None] = []
    told: list[ChangeSet] = []
    database.listeners.on_commit(told.append)

    def full() -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(database, "commit", full)
        results = await asyncio.gather(
            database.write(put("a"), written=heard.append),
            database.write(lambda tx: tx.note("j", NOW, "queued")),
            return_exceptions=True,
        )
    assert [str(result) for result in results] == ["the disk is full"] * 2
    assert (heard, told) == ([None], [])
    assert await names(database) == ["before"]
    await database.close()


async def test_closing_commits_what_is_open(path: Path) -> None:
    database = SqliteDatabase(path)
    heard = asyncio.Event()
    future = database.write(put("open"), written=lambda _: heard.set())
    await heard.wait()
    await database.close()
    await future
    reopened = SqliteDatabase(path)
    assert await names(reopened) == ["open"]
    await reopened.close()


async def test_what_a_job_is_given_is_read_without_a_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, commits = waiting(path, monkeypatch)
    (future,) = await ran(database, offering("a"))
    ulids = Ulids(os.urandom)
    assert await Secrets(database, ulids).sealed_secrets(["TOKEN"]) == {}
    assert await PrivateInputs(database, ulids).sealed_input("J") is None
    assert commits == [] and not future.done()
    await database.close()
    assert future.done()


async def test_an_end_shares_the_commit_of_the_acceptance_that_follows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, commits = waiting(path, monkeypatch)
    open_ = await ran(database, ending("end"), offering("next"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert commits == [] and not any(future.done() for future in open_)
    await database.write(put("accepted"))
    assert commits == ["commit"] and all(future.done() for future in open_)
    assert await names(database) == ["accepted", "end", "next"]
    # An end that nothing follows is committed at once, also beside others.
    assert await database.write(ending("alone"), urgency=Urgency.RUN) == "alone"
    (other,) = await ran(database, offering("other"))
    first = database.write(ending("first"), urgency=Urgency.RUN)
    assert await database.write(ending("second"), urgency=Urgency.RUN) == "second"
    assert first.done() and other.done()
    await database.close()


async def test_a_transaction_that_waits_is_committed_after_a_moment(path: Path) -> None:
    database = SqliteDatabase(path)
    (future,) = await ran(database, offering("next"))
    assert not future.done()
    assert await asyncio.wait_for(future, 5) == "next"
    await database.close()


async def test_reads_do_not_see_what_waits_unless_they_ask_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, commits = waiting(path, monkeypatch)
    await ran(database, offering("a"))

    def seen(reader: Reader) -> list[str]:
        return [row.name for row in reader.all(ALL)]

    assert await database.read(seen, ahead=True) == ["a"] and commits == []
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM meta").fetchone() == (0,)
    assert await database.read(seen) == ["a"] and commits == ["commit"]
    await database.close()


async def test_a_guilty_operation_undoes_nothing_of_what_waits(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, commits = waiting(path, monkeypatch)
    (open_,) = await ran(database, offering("next"))
    results = await asyncio.gather(
        database.write(put("good")), database.write(put("next")), return_exceptions=True
    )
    assert results[0] is None and isinstance(results[1], OperationFault)
    assert open_.result() == "next" and commits == ["commit"]
    assert await names(database) == ["good", "next"]
    await database.close()


@pytest.mark.parametrize("fails", ["commit", "read", "run"])
async def test_all_that_waits_hears_of_a_failure(
    path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    database, _ = waiting(path, monkeypatch)
    (open_,) = await ran(database, offering("next"))

    def away(*_: object) -> None:
        raise StoreUnavailable("the database is away, for this test")

    more: list[object] = []
    if fails == "read":
        with pytest.raises(StoreUnavailable):
            await database.read(away, ahead=True)
    else:
        if fails == "commit":
            monkeypatch.setattr(database, "commit", away)
        operation = away if fails == "run" else put("more")
        more = list(await asyncio.gather(database.write(operation), return_exceptions=True))
    await asyncio.wait((open_,))
    assert isinstance(open_.exception(), StoreUnavailable)
    assert all(isinstance(result, StoreUnavailable) for result in more)
    monkeypatch.undo()
    assert await names(database) == []
    # The next transaction waits and is committed as ever.
    again = await ran(database, offering("next"))
    await database.write(put("accepted"))
    assert again[0].result() == "next"
    await database.close()
