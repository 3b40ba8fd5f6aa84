"""The tick writer: shared commits, isolation of faults, failures of the disk, sudden death."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select

from remote_server.domain.change_set import ChangeSet
from remote_server.errors import NotFound, StoreUnavailable
from remote_server.store.ports import (
    Durability,
    Elsewhere,
    OperationFault,
    Reader,
    Report,
    Transaction,
    Urgency,
)
from remote_server.store.private_inputs import PrivateInputs
from remote_server.store.repository import Ulids
from remote_server.store.schema import meta
from remote_server.store.secrets import Secrets
from remote_server.store.sqlite.database import SqliteDatabase, SqlitePorts
from remote_server.store.sqlite.opening import prepare
from tests.support.stored import NOW

_PUT = insert(meta).values(name=bindparam("name"), value=bindparam("value"))
_ALL = select(meta.c.name, meta.c.value).order_by(meta.c.name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    prepare(tmp_path / "s.db")
    return tmp_path / "s.db"


def put(name: str, value: str = "") -> Callable[[Transaction], None]:
    return lambda tx: tx.run(_PUT, {"name": name, "value": value})


async def names(database: SqliteDatabase) -> list[str]:
    return [row.name for row in await database.read(lambda reader: reader.all(_ALL))]


async def test_writes_of_one_turn_share_a_commit(path: Path) -> None:
    database = SqliteDatabase(path, ports=SqlitePorts(clock=lambda: 0.0))
    commits: list[ChangeSet] = []
    database.listeners.on_commit(commits.append)

    def noted(number: int) -> Callable[[Transaction], int]:
        def write(tx: Transaction) -> int:
            tx.run(_PUT, {"name": f"{number:03}", "value": ""})
            tx.note(f"job{number}", NOW, "queued")
            return number

        return write

    futures = [database.write(noted(number)) for number in range(100)]
    assert commits == []
    assert await asyncio.gather(*futures) == list(range(100))
    assert len(commits) == 1
    assert len(commits[0].jobs) == 100
    assert len(await names(database)) == 100
    await database.close()


async def test_one_faulty_operation_harms_only_itself(path: Path) -> None:
    database = SqliteDatabase(path)
    commits: list[ChangeSet] = []
    database.listeners.on_commit(commits.append)

    def faulty(tx: Transaction) -> None:
        tx.run(_PUT, {"name": "half", "value": ""})
        tx.note("faulty", NOW, "queued")
        tx.ready("demand", 1)
        raise NotFound("job", "x")

    def good(name: str) -> Callable[[Transaction], str]:
        def write(tx: Transaction) -> str:
            tx.run(_PUT, {"name": name, "value": ""})
            tx.note(name, NOW, "queued")
            tx.ready("demand", 1)
            return name

        return write

    results = await asyncio.gather(
        database.write(good("a")),
        database.write(faulty),
        database.write(good("b")),
        database.write(put("a")),
        return_exceptions=True,
    )
    assert (results[0], results[2]) == ("a", "b")
    assert isinstance(results[1], NotFound)
    assert isinstance(results[3], OperationFault)
    assert await names(database) == ["a", "b"]
    (commit,) = commits
    assert commit.jobs == {"a", "b"}
    assert commit.ready_counts == {"demand": 2}
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT job FROM timeline ORDER BY seq").fetchall() == [
            ("a",),
            ("b",),
        ]
    await database.close()


async def test_a_cancelled_caller_leaves_the_others_alone(path: Path) -> None:
    database = SqliteDatabase(path)
    first = database.write(put("first"))
    second = database.write(put("second"))
    first.cancel()
    await second
    assert await names(database) == ["second"]
    await database.close()


async def test_a_long_turn_is_cut_into_commits(path: Path) -> None:
    import time

    database = SqliteDatabase(path)
    commits: list[ChangeSet] = []
    database.listeners.on_commit(commits.append)

    def slow(number: int) -> Callable[[Transaction], int]:
        def write(tx: Transaction) -> int:
            time.sleep(0.012)
            tx.note(str(number), NOW, "queued")
            return number

        return write

    futures = [database.write(slow(number)) for number in range(6)]
    assert await asyncio.gather(*futures) == list(range(6))
    # Three when the machine is idle; a loaded one oversleeps.
    assert 3 <= len(commits) <= 6
    await database.close()


async def test_a_locked_database_is_unavailable_and_recovers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_server.store.sqlite.connection.BUSY_TIMEOUT", 0.05)
    database = SqliteDatabase(path)
    failures: list[bool] = []
    database.listeners.on_failure(lambda: failures.append(True))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        results = await asyncio.gather(
            database.write(put("a")),
            database.write(put("b")),
            return_exceptions=True,
        )
        assert all(isinstance(result, StoreUnavailable) for result in results)
        assert "another program is using it" in str(results[0])
        assert await names(database) == []  # readers do not wait for writers
        other.execute("ROLLBACK")
    assert failures == [True]
    await database.write(put("c"))
    assert await names(database) == ["c"]
    await database.close()


async def test_a_full_disk_is_unavailable_and_recovers(path: Path) -> None:
    database = SqliteDatabase(path)
    await database.write(put("before"))
    assert database._connection is not None
    (pages,) = database._connection.execute("PRAGMA page_count").fetchone()
    database._connection.execute(f"PRAGMA max_page_count = {pages}")
    results = await asyncio.gather(
        database.write(put("small")),
        database.write(put("big", "x" * 100_000)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [StoreUnavailable] * 2
    assert "free some space" in str(results[1])
    await database.write(put("after"))
    assert await names(database) == ["after", "before"]
    await database.close()


async def test_a_vanished_file_is_not_silently_made_again(path: Path) -> None:
    database = SqliteDatabase(path)
    path.unlink()
    with pytest.raises(StoreUnavailable):
        await database.write(put("a"))
    with pytest.raises(StoreUnavailable):
        await names(database)
    assert not path.exists()
    await database.close()


async def test_closing_commits_what_is_pending(path: Path) -> None:
    database = SqliteDatabase(path)
    future = database.write(put("last"))
    await database.close()
    await future
    with pytest.raises(StoreUnavailable, match="stopping"):
        await database.write(put("late"))
    reopened = SqliteDatabase(path)
    assert await names(reopened) == ["last"]
    await reopened.close()


async def test_reads_never_see_a_part_of_a_transaction(path: Path) -> None:
    database = SqliteDatabase(path)
    seen: list[int] = []

    def both(tx: Transaction) -> None:
        tx.run(_PUT, {"name": "1", "value": ""})
        with closing(sqlite3.connect(path)) as other:
            seen.append(other.execute("SELECT count(*) FROM meta").fetchone()[0])
        tx.run(_PUT, {"name": "2", "value": ""})

    def count(reader: Reader) -> int:
        return len(reader.all(_ALL))

    await database.write(both)
    assert seen == [0]
    assert await database.read(count) == 2
    await database.close()


async def test_only_relaxed_commits_are_not_synced(path: Path) -> None:
    database = SqliteDatabase(path)
    seen: list[tuple[str, int]] = []

    def look(name: str) -> Callable[[Transaction], None]:
        def operation(tx: Transaction) -> None:
            assert database._connection is not None
            seen.append((name, database._connection.execute("PRAGMA synchronous").fetchone()[0]))

        return operation

    await database.write(look("strict"))
    await database.write(look("relaxed"), relaxed=True)
    await asyncio.gather(
        database.write(look("together"), relaxed=True),
        database.write(look("together")),
        database.write(look("together"), relaxed=True),
    )
    await database.write(look("relaxed"), relaxed=True)
    await database.close()
    assert seen == [
        ("strict", 2),
        ("relaxed", 1),
        *[("together", 2)] * 3,
        ("relaxed", 1),
    ]
    seen.clear()
    database = SqliteDatabase(path, "normal")
    await database.write(look("normal"))
    await database.write(look("normal"), relaxed=True)
    await database.close()
    assert seen == [("normal", 1)] * 2


_WRITER = """
import asyncio, sys
from remote_server.store import Store
from remote_protocol.spec import CommandSpec

async def main():
    store = await Store.open(sys.argv[1])
    async def write(lane):
        while True:
            (job,) = await store.submit([CommandSpec(command=["true"])], 1.8e9)
            await store.assign([(job.id, "a")], 1.8e9)
            # One write call: the line is whole, or it is not there.
            sys.stdout.write(job.id + "\\n")
            sys.stdout.flush()
    await asyncio.gather(*(write(lane) for lane in range(4)))

asyncio.run(main())
"""


async def test_a_killed_writer_loses_nothing_it_has_acknowledged(tmp_path: Path) -> None:
    from remote_protocol.states import JobState
    from remote_server.store import Store

    path = str(tmp_path / "s.db")
    acknowledged: list[str] = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        wanted = len(acknowledged) + 60
        for line in process.stdout:
            acknowledged.append(line.strip())
            if len(acknowledged) >= wanted:
                process.kill()
                break
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        process.wait()
        process.stdout.close()
    store = await Store.open(path)
    assert await store.check() == []
    for job in acknowledged:
        assert (await store.job(job)).state is JobState.ASSIGNED
    # Ids of the three lives are all different, and what was not acknowledged is whole too.
    counts = await store.counts()
    assert sum(counts.values()) >= len(set(acknowledged)) == len(acknowledged) >= 180
    await store.close()


async def test_a_patient_write_waits_for_others_or_for_a_moment(path: Path) -> None:
    database = SqliteDatabase(path, ports=SqlitePorts(clock=lambda: 0.0))
    commits: list[ChangeSet] = []
    database.listeners.on_commit(commits.append)

    def noted(job: str) -> Callable[[Transaction], None]:
        return lambda tx: tx.note(job, NOW, "started")

    patient = database.write(noted("first"), urgency=Urgency.NONE)
    await asyncio.sleep(0)
    assert not patient.done()
    await database.write(noted("second"))
    assert patient.done()
    assert [commit.jobs for commit in commits] == [{"first", "second"}]
    await database.write(noted("alone"), urgency=Urgency.NONE)
    assert commits[-1].jobs == {"alone"}
    last = database.write(noted("last"), urgency=Urgency.NONE)
    await database.close()
    assert last.done()
    assert commits[-1].jobs == {"last"}
    late = database.write(noted("late"), urgency=Urgency.NONE)
    with pytest.raises(StoreUnavailable, match="the server is stopping"):
        await asyncio.wait_for(late, 5)


async def test_a_patient_write_tells_of_a_failure(path: Path) -> None:
    database = SqliteDatabase(path)
    await names(database)
    path.unlink()
    database._give_up()
    with pytest.raises(StoreUnavailable):
        await database.write(put("lost"), urgency=Urgency.NONE)


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


def offering(name: str) -> Callable[[Transaction], str]:
    def operation(tx: Transaction) -> str:
        tx.run(_PUT, {"name": name, "value": ""})
        tx.offers += 1
        return name

    return operation


def ending(name: str) -> Callable[[Transaction], str]:
    def operation(tx: Transaction) -> str:
        tx.run(_PUT, {"name": name, "value": ""})
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
        return [row.name for row in reader.all(_ALL)]

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


class Accepting(Report):
    """As the report of an acceptance, which finds its assignment."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, tx: Transaction) -> str:
        tx.run(_PUT, {"name": self.name, "value": ""})
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
