"""The tick writer: shared commits, isolation of faults, failures of the disk, sudden death."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from remote_server.domain.change_set import ChangeSet
from remote_server.errors import NotFound, StoreUnavailable
from remote_server.store.ports import (
    OperationFault,
    Reader,
    Transaction,
    Urgency,
)
from remote_server.store.sqlite.database import SqliteDatabase, SqlitePorts
from tests.support.stored import NOW
from tests.support.writes import ALL, PUT, names, put


async def test_writes_of_one_turn_share_a_commit(path: Path) -> None:
    database = SqliteDatabase(path, ports=SqlitePorts(clock=lambda: 0.0))
    commits: list[ChangeSet] = []
    database.listeners.on_commit(commits.append)

    def noted(number: int) -> Callable[[Transaction], int]:
        def write(tx: Transaction) -> int:
            tx.run(PUT, {"name": f"{number:03}", "value": ""})
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
        tx.run(PUT, {"name": "half", "value": ""})
        tx.note("faulty", NOW, "queued")
        tx.ready("demand", 1)
        raise NotFound("job", "x")

    def good(name: str) -> Callable[[Transaction], str]:
        def write(tx: Transaction) -> str:
            tx.run(PUT, {"name": name, "value": ""})
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
        tx.run(PUT, {"name": "1", "value": ""})
        with closing(sqlite3.connect(path)) as other:
            seen.append(other.execute("SELECT count(*) FROM meta").fetchone()[0])
        tx.run(PUT, {"name": "2", "value": ""})

    def count(reader: Reader) -> int:
        return len(reader.all(ALL))

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
