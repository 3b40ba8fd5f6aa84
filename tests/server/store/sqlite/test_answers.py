"""Agents hear of what was run and committed before everybody else, and may answer (ADR 52)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from remote_server.errors import StoreUnavailable
from remote_server.store.ports import OperationFault, Transaction, Urgency
from remote_server.store.sqlite.answers import ANSWER_TURNS
from remote_server.store.sqlite.database import SqliteDatabase, SqlitePorts
from tests.support.stored import NOW
from tests.support.writes import names, offering, put, waiting


def in_turns(turns: int, act: Callable[[], object]) -> None:
    """Do something after so many turns of the loop, as a link does that hears of an answer."""
    loop = asyncio.get_running_loop()
    loop.call_soon(in_turns, turns - 1, act) if turns else act()


async def told_first(database: SqliteDatabase) -> None:
    """Wait until agents were told of the next results."""
    told = asyncio.Event()
    database.listeners.on_told(told.set)
    while not told.is_set():
        await asyncio.sleep(0)


async def test_what_is_answered_at_once_shares_the_commit(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An offer, which an agent on this host has accepted before the server goes on."""
    database, commits = waiting(path, monkeypatch)
    answers: list[asyncio.Future[None]] = []

    def offered(_: object) -> None:
        # One turn finds the bytes, the next one has the link hear them.
        in_turns(2, lambda: answers.append(database.write(put("accepted"))))

    await database.write(offering("assigned"), written=offered)
    assert answers[0].done() and commits == ["commit"]
    assert await names(database) == ["accepted", "assigned"]
    await database.close()


async def test_agents_are_told_before_others_go_on(path: Path) -> None:
    database = SqliteDatabase(path)
    said: list[str] = []
    database.listeners.on_told(lambda: said.append("sent"))
    database.listeners.on_commit(lambda changes: said.append("published"))
    submitted = database.write(lambda tx: tx.note("j", NOW, "queued"))
    submitted.add_done_callback(lambda _: said.append("answered"))
    ended = database.write(put("ended"), heard=lambda done: said.append(f"heard {done.result()}"))
    ended.add_done_callback(lambda _: said.append("recorded"))
    await submitted
    await asyncio.sleep(0)
    assert said == ["published", "heard None", "sent", "recorded", "answered"]
    await database.close()


async def test_agents_may_answer_an_offer_before_others_hear_of_its_commit(path: Path) -> None:
    database = SqliteDatabase(path)
    said: list[str] = []
    database.listeners.on_told(lambda: said.append("sent"))
    heard: list[asyncio.Future[None]] = []

    def note(done: asyncio.Future[None]) -> None:
        said.append(f"heard {done.result()}")

    def answer(_: asyncio.Future[None]) -> None:
        in_turns(2, lambda: heard.append(database.write(put("accepted"), heard=note)))

    async def submit() -> None:
        await database.write(offering("submitted"))
        said.append("answered")

    task = asyncio.ensure_future(submit())
    await asyncio.sleep(0)
    await database.write(put("told"), heard=answer)
    await task
    await heard[0]
    assert said == ["sent", "heard None", "sent", "answered"]
    await database.close()


async def test_others_go_on_in_the_order_of_their_calls(path: Path) -> None:
    """A commit without offers waits for nobody, and lets those of before go on with it."""
    database = SqliteDatabase(path)
    said: list[str] = []
    first = database.write(offering("first"))
    first.add_done_callback(lambda _: said.append("first"))
    await told_first(database)
    assert not first.done()
    second = database.write(put("second"))
    second.add_done_callback(lambda _: said.append("second"))
    await second
    assert first.done()
    await asyncio.sleep(0)
    assert said == ["first", "second"]
    await database.close()


async def test_nobody_waits_longer_than_some_turns(path: Path) -> None:
    database = SqliteDatabase(path)
    future = database.write(offering("assigned"))
    await told_first(database)
    for _ in range(ANSWER_TURNS):
        assert not future.done()
        await asyncio.sleep(0)
    assert future.done()
    await database.close()


async def test_nobody_is_waited_for_when_there_is_more_to_do_than_time(path: Path) -> None:
    seconds = itertools.count()
    database = SqliteDatabase(path, ports=SqlitePorts(clock=lambda: float(next(seconds))))
    turns: list[int] = []
    database.listeners.on_commit(lambda changes: turns.append(len(changes.jobs)))

    def offering_one(job: str) -> Callable[[Transaction], None]:
        def operation(tx: Transaction) -> None:
            tx.note(job, NOW, "assigned")
            tx.offers += 1

        return operation

    writes = [database.write(offering_one(job), written=lambda _: None) for job in "abc"]
    for _ in writes:
        await asyncio.sleep(0)
    # The last one has nothing behind it, so that its agent may answer.
    assert turns == [1, 1]
    await asyncio.gather(*writes)
    assert turns == [1, 1, 1]
    await database.close()


async def test_what_was_told_of_operations_that_ran_again_is_compared_at_once(path: Path) -> None:
    database = SqliteDatabase(path)
    noted = database.write(lambda tx: tx.note("j", NOW, "queued"))
    good, guilty = (database.write(put("twice")) for _ in range(2))
    offered = database.write(offering("offered"), written=lambda _: None)
    await told_first(database)
    assert offered.result() == "offered" and noted.done() and good.done()
    assert isinstance(guilty.exception(), OperationFault)
    await database.close()


@pytest.mark.parametrize("ends", ["closed", "failed"])
async def test_what_is_committed_is_told_so_whatever_comes_next(
    path: Path, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    database = SqliteDatabase(path)
    stored = database.write(offering("stored"))
    await told_first(database)
    assert not stored.done()
    if ends == "failed":

        def full() -> None:
            raise StoreUnavailable("the disk is full, for this test")

        heard: list[BaseException | None] = []
        with monkeypatch.context() as patch:
            patch.setattr(database, "commit", full)
            lost = database.write(put("lost"), heard=lambda done: heard.append(done.exception()))
            with pytest.raises(StoreUnavailable):
                await lost
        assert heard == [lost.exception()]
        assert await names(database) == ["stored"]
    await database.close()
    assert stored.result() == "stored"


async def test_a_listener_that_fails_keeps_nobody_from_hearing(path: Path) -> None:
    database = SqliteDatabase(path)
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: faults.append(context["exception"])
    )
    wrong = ValueError("our own bug, for this test")

    def fail(_: object) -> None:
        raise wrong

    database.listeners.on_commit(fail)
    heard: list[object] = []
    write = database.write(lambda tx: tx.note("j", NOW, "queued"), heard=heard.append)
    other = database.write(put("other"), heard=fail, urgency=Urgency.RUN)
    last = database.write(put("last"))
    await asyncio.gather(write, other, last)
    assert heard == [write]
    assert faults == [wrong, wrong]
    await database.close()
