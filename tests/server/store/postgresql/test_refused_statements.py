"""Errors of statements that were sent together, while nobody has waited for their results yet.

Each test has several operations in one transaction, of a store on a real server, and looks at what
every one of them is told, how often it ran, what is stored, and whether the connection lives on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import bindparam, insert, select, text

from remote_server.errors import CommitUnknown, NotFound, StoreUnavailable
from remote_server.store import Store
from remote_server.store.ports import OperationFault, Transaction
from remote_server.store.postgresql import database
from remote_server.store.schema import meta
from tests.server.store.postgresql.test_session import eventually
from tests.support.databases import server
from tests.support.postgresql import database_of

Operation = Callable[[Transaction], Any]
_PUT: Final = insert(meta).values(name=bindparam("name"), value=bindparam("value"))
_GET: Final = select(meta.c.value).where(meta.c.name == bindparam("wanted"))
_PUTS: Final = "SELECT value FROM meta WHERE name LIKE 'put %' ORDER BY name"


class Together:
    """Operations that run in one transaction, and what becomes of them."""

    def __init__(self, store: Store) -> None:
        self.write = store._database.write
        self._read = store._database.read
        self.ran: list[str] = []
        """The names of operations, each time that they ran."""

    def put(self, name: str, *, looks: bool = False, then: Exception | None = None) -> Operation:
        """Writes its name; waits for no result, unless it `looks`."""

        def operation(tx: Transaction) -> str:
            self.ran.append(name)
            tx.run(_PUT, {"name": f"put {name}", "value": name})
            tx.note(name, 1.0, "noted")
            if looks:
                found = tx.one(_GET, {"wanted": f"put {name}"})
                assert found is not None and found.value == name
            if then is not None:
                raise then
            return name

        return operation

    def does(self, name: str, *statements: str, looks: bool = False) -> Operation:
        """Sends other statements."""

        def operation(tx: Transaction) -> str:
            self.ran.append(name)
            for statement in statements:
                tx.run(text(statement))
            if looks:
                tx.one(_GET, {"wanted": name})
            return name

        return operation

    def cuts(self, url: str) -> Operation:
        """Has all connections of the database cut, once, while statements wait to be sent."""
        done: list[int] = []

        def operation(tx: Transaction) -> str:
            self.ran.append("cut")
            if not done:
                done.append(server().cut(database_of(url)))
            return "cut"

        return operation

    async def run(self, *operations: Operation) -> list[Any]:
        """What each of them is told, once; they are in one transaction, as the thread is busy while
        they are asked for."""
        begun, go_on = threading.Event(), threading.Event()

        def busy(_: Transaction) -> None:
            begun.set()
            assert go_on.wait(30)

        self.ran.clear()
        held = self.write(busy)
        assert await asyncio.to_thread(begun.wait, 30)
        futures = [self.write(operation) for operation in operations]
        go_on.set()
        await held
        async with asyncio.timeout(60):
            return await asyncio.gather(*futures, return_exceptions=True)

    async def stored(self) -> list[str]:
        """The names of what is there, each of which has its event, too."""

        def look(reader: Any) -> tuple[list[str], list[str]]:
            names = [name for (name,) in reader.plain(_PUTS)]
            noted = reader.plain("SELECT job FROM timeline WHERE what = 'noted' ORDER BY job")
            return names, [job for (job,) in noted]

        names, noted = await eventually(lambda: self._read(look))
        assert names == noted
        return names

    async def backend(self) -> int:
        """The process of the connection that writes."""

        def look(tx: Any) -> int:
            ((pid,),) = tx.plain("SELECT pg_backend_pid()")
            return pid

        return await eventually(lambda: self.write(look))


def kinds(told: list[Any]) -> list[Any]:
    """The results, and the types of errors."""
    return [type(each) if isinstance(each, Exception) else each for each in told]


def refusing(sqlstate: str) -> str:
    """A statement that the database refuses for this reason."""
    return f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$"


_SLOW: Final = ("SET LOCAL statement_timeout = '20ms'", "SELECT pg_sleep(20)")
_CUT: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = %s AND wait_event = 'SyncRep'"
)
"""Cuts a connection whose commit is stored and waits for a replica."""
_DIES: Final = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
def together(store: Store, monkeypatch: pytest.MonkeyPatch) -> Together:
    # However long it takes to kill and cut on a busy machine, it is one transaction.
    monkeypatch.setattr(database, "BATCH_TIME", 60)
    return Together(store)


@pytest.mark.parametrize("looks", [True, False], ids=["somebody waits", "nobody waits"])
async def test_a_duplicate_is_its_own_operations_fault_alone(
    together: Together, looks: bool
) -> None:
    put = together.put
    assert await together.run(put("a")) == ["a"]
    backend = await together.backend()
    told = await together.run(put("b"), put("a"), put("c", looks=looks), put("d"))
    assert kinds(told) == ["b", OperationFault, "c", "d"]
    assert "duplicate key" in str(told[1]) and "Key (name)" not in str(told[1])
    first = ["b", "a", "c"] if looks else ["b", "a", "c", "d"]
    assert together.ran == [*first, "b", "a", "c", "d"], "all ran again, one by one"
    assert await together.stored() == ["a", "b", "c", "d"]
    assert await together.backend() == backend


async def test_what_follows_a_refusal_is_sent_together_again(together: Together) -> None:
    """The driver has the server forget all that is prepared when it sees a ROLLBACK: each later
    transaction was refused for that, and ran twice."""
    put = together.put
    await together.run(put("a"))
    for names in ("bc", "de", "fg"):
        told = await together.run(*map(put, names), put("a"))
        assert kinds(told) == [*names, OperationFault]
    for names in ("hi", "jk"):
        assert await together.run(*map(put, names)) == [*names]
        assert together.ran == [*names], "nothing ran twice"
    assert await together.stored() == [*"abcdefghijk"]


async def test_two_that_are_guilty_hear_of_their_own_fault_each(together: Together) -> None:
    put = together.put
    await together.run(put("a"))
    told = await together.run(
        put("b"),
        put("a"),
        put("c", then=NotFound("job", "c")),
        together.does("d", "SELECT 1 / 0"),
        put("e", looks=True),
        put("a", then=NotFound("job", "a"), looks=True),
    )
    assert kinds(told) == ["b", OperationFault, NotFound, OperationFault, "e", OperationFault]
    assert "division by zero" in str(told[3])
    assert await together.stored() == ["a", "b", "e"]


async def test_the_error_of_one_before_hides_nobodys_own(together: Together) -> None:
    """One that raises before it writes is left out; when that of before shows, all run again."""
    put = together.put
    await together.run(put("a"))

    def late(_: Transaction) -> None:
        raise NotFound("job", "x")

    told = await together.run(put("a"), late, put("b"))
    assert kinds(told) == [OperationFault, NotFound, "b"]
    assert await together.stored() == ["a", "b"]


@pytest.mark.parametrize("looks", [True, False], ids=["somebody waits", "nobody waits"])
@pytest.mark.parametrize(
    "statements",
    [_SLOW, (refusing("40P01"),), (refusing("40001"),), (refusing("53100"),)],
    ids=["statement timeout", "deadlock", "serialization failure", "disk full"],
)
async def test_nobodys_fault_is_told_to_all_and_costs_no_right_to_write(
    together: Together, statements: tuple[str, ...], looks: bool
) -> None:
    """It is known that nothing was stored. The session lives: with it a stand-by would get the
    lock, only because a statement had waited for that of somebody else."""
    put = together.put
    backend = await together.backend()
    told = await together.run(put("a"), together.does("x", *statements, looks=looks), put("b"))
    assert kinds(told) == [StoreUnavailable] * 3
    assert all("cannot be used now" in str(each) for each in told)
    assert together.ran == (["a", "x"] if looks else ["a", "x", "b"])
    assert await together.stored() == []
    assert await together.backend() == backend
    assert await together.run(put("a"), put("b", looks=True)) == ["a", "b"]
    assert together.ran == ["a", "b"]
    assert await together.stored() == ["a", "b"]


async def test_nobodys_fault_while_all_run_one_by_one(together: Together) -> None:
    put = together.put
    await together.run(put("a"))
    backend = await together.backend()
    told = await together.run(put("b"), put("a", looks=True), together.does("x", refusing("40P01")))
    assert kinds(told) == [StoreUnavailable] * 3, "of one transaction nothing is stored"
    assert await together.stored() == ["a"]
    assert await together.run(put("c")) == ["c"]
    assert together.ran == ["c"]
    assert await together.backend() == backend


async def test_a_real_deadlock(together: Together, url: str) -> None:
    """With another program, which is the more patient one of the two."""
    put, does = together.put, together.does
    await together.run(put("a"), put("b"))
    change = "UPDATE meta SET value = 'x' WHERE name = 'put {}'"
    asked = asyncio.Event()
    with closing(psycopg.connect(server().url(database_of(url), "postgres"))) as other:
        other.execute("SET deadlock_timeout = '1h'")
        other.execute(change.format("b"))
        loop = asyncio.get_running_loop()

        def crosses(_: Transaction) -> None:
            """Now this one has `a`: the other one waits for it."""
            loop.call_soon_threadsafe(asked.set)
            waits(url)

        back = asyncio.ensure_future(
            together.run(
                does("first", change.format("a"), looks=True),
                crosses,
                does("second", change.format("b")),
            )
        )
        await asked.wait()
        await asyncio.to_thread(other.execute, change.format("a"))
        assert kinds(await back) == [StoreUnavailable] * 3
        assert "deadlock" in str((await back)[0])
        other.rollback()
    assert await together.stored() == ["a", "b"]


def waits(url: str) -> None:
    """Wait until a session with the database waits for a lock."""
    found = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    ends = time.monotonic() + 20
    while not server().admin(found, (database_of(url),)):
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize("looks", [True, False], ids=["somebody waits", "nobody waits"])
async def test_a_connection_that_is_cut_between_statements(
    together: Together, url: str, looks: bool
) -> None:
    """As long as the end was not sent, all is done on a new connection; else nobody can say."""
    put = together.put
    backend = await together.backend()
    told = await together.run(put("a"), together.cuts(url), put("b", looks=looks), put("c"))
    if looks:
        assert told == ["a", "cut", "b", "c"]
        assert together.ran == ["a", "cut", "b", "a", "cut", "b", "c"]
        assert await together.stored() == ["a", "b", "c"]
    else:
        assert kinds(told) == [CommitUnknown] * 4
        assert await together.stored() == []
    assert await together.backend() != backend
    assert await together.run(put("d")) == ["d"]


@pytest.mark.parametrize("looks", [True, False], ids=["somebody waits", "nobody waits"])
async def test_a_statement_that_kills_its_connection_is_done_once_more_at_the_most(
    together: Together, looks: bool
) -> None:
    put = together.put
    told = await together.run(put("a"), together.does("dies", _DIES), put("b", looks=looks))
    assert kinds(told) == [StoreUnavailable if looks else CommitUnknown] * 3
    assert together.ran == ["a", "dies", "b"] * (2 if looks else 1)
    assert await together.stored() == []
    await together.backend()
    assert await together.run(put("a"), put("b")) == ["a", "b"]


async def test_what_there_was_no_time_for_hears_nothing_of_a_failure(
    together: Together, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not run: nobody need look whether it is stored."""
    put = together.put
    monkeypatch.setattr(database, "BATCH_TIME", 0)
    monkeypatch.setattr(database, "RETRY", 0)
    told = await together.run(together.cuts(url), put("a"), put("b"))
    assert kinds(told) == [CommitUnknown, "a", "b"]
    assert together.ran == ["cut", "a", "b"]
    assert await together.stored() == ["a", "b"]


async def test_postgresql_killed_between_statements(together: Together) -> None:
    put = together.put
    killed: list[bool] = []

    def kills(tx: Transaction) -> str:
        if not killed:
            killed.append(True)
            server().kill()
            server().start()
        return "killed"

    told = await together.run(put("a"), put("b", looks=True), kills, put("c", looks=True), put("d"))
    assert told == ["a", "b", "killed", "c", "d"], "it was there again in time"
    assert await together.stored() == ["a", "b", "c", "d"]


@contextmanager
def a_replica_that_never_answers() -> Iterator[None]:
    """Commits wait for it: they are stored, and not said to be."""
    admin = server().admin
    admin("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    admin("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        admin("ALTER SYSTEM RESET synchronous_standby_names")
        admin("SELECT pg_reload_conf()")


async def test_what_was_stored_and_not_said_is_unknown(together: Together, url: str) -> None:
    asked: list[str] = []
    cut: list[Any] = []
    with a_replica_that_never_answers():
        async with asyncio.timeout(20):
            while not cut:
                # Until the server has read its new setting.
                asked.append(f"{len(asked):03}")
                back = together.write(together.put(asked[-1]))
                while not (cut or back.done()):
                    cut = await asyncio.to_thread(server().admin, _CUT, (database_of(url),))
        with pytest.raises(CommitUnknown):
            await back
    assert await together.stored() == asked


async def test_reads_between_transactions_see_nothing_of_their_errors(
    together: Together,
) -> None:
    put = together.put
    await together.run(put("a"))
    for refused in (put("a"), together.does("x", refusing("40P01")), together.does("x", _DIES)):
        await together.run(put("b", then=NotFound("job", "b")), refused, put("c"))
        assert "b" not in await together.stored()
