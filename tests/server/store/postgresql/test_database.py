"""PostgreSQL killed, cut and slow under a store that works with it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from remote_protocol.states import JobState
from remote_server.errors import CommitUnknown, ServerError, StoreOverloaded, StoreUnavailable
from remote_server.store import Store
from remote_server.store.ports import OperationFault
from remote_server.store.postgresql.database import PostgresDatabase
from tests.server.store.postgresql.test_session import eventually
from tests.support.databases import server
from tests.support.postgresql import database_of
from tests.support.stored import running, submitted


async def keep_submitting(store: Store, known: list[str], unknown: list[str]) -> None:
    """Submit jobs for ever; what is acknowledged is known, what may be there is not."""
    while True:
        try:
            known.append(await submitted(store))
        except CommitUnknown:
            unknown.append("?")
        except StoreUnavailable:
            await asyncio.sleep(0.01)


async def test_nothing_acknowledged_is_lost_when_postgresql_is_killed(store: Store) -> None:
    known: list[str] = []
    unknown: list[str] = []
    lanes = [asyncio.ensure_future(keep_submitting(store, known, unknown)) for _ in range(8)]
    for _ in range(3):
        wanted = len(known) + 40
        async with asyncio.timeout(30):
            while len(known) < wanted:
                await asyncio.sleep(0.005)
        await asyncio.to_thread(server().kill)
        await asyncio.to_thread(server().start)
    async with asyncio.timeout(30):
        while len(known) < wanted + 40:
            await asyncio.sleep(0.005)
    for lane in lanes:
        lane.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)
    assert len(set(known)) == len(known)
    for job in known:
        assert (await store.job(job)).state is JobState.QUEUED
    counts = await store.counts()
    demands = await store.demands()
    store.forget_counts()
    assert await store.counts() == counts, "what is counted in memory is what there is"
    assert await store.demands() == demands
    there = sum(counts.values())
    assert len(known) <= there <= len(known) + len(unknown) + 8
    assert await store.check() == []


async def test_cut_connections_lose_nothing(store: Store, url: str) -> None:
    known: list[str] = []
    unknown: list[str] = []
    lanes = [asyncio.ensure_future(keep_submitting(store, known, unknown)) for _ in range(4)]
    for _ in range(10):
        wanted = len(known) + 10
        async with asyncio.timeout(30):
            while len(known) < wanted:
                await asyncio.sleep(0.002)
        await asyncio.to_thread(server().cut, database_of(url))
    for lane in lanes:
        lane.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)
    for job in known:
        assert (await eventually(lambda job=job: store.job(job))).id == job
    counts = await store.counts()
    store.forget_counts()
    assert await store.counts() == counts


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


async def test_a_killed_server_loses_nothing_it_has_acknowledged(url: str) -> None:
    acknowledged: list[str] = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _WRITER, url], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        wanted = len(acknowledged) + 30
        for line in process.stdout:
            acknowledged.append(line.strip())
            if len(acknowledged) >= wanted:
                os.kill(process.pid, signal.SIGKILL)
                break
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        process.wait()
        process.stdout.close()
    store = await Store.open(url)
    assert await store.check() == []
    for job in acknowledged:
        assert (await store.job(job)).state is JobState.ASSIGNED
    counts = await store.counts()
    assert sum(counts.values()) >= len(set(acknowledged)) == len(acknowledged) >= 90
    await store.close()


async def test_what_hangs_is_given_up_and_the_rest_goes_on(store: Store) -> None:
    def slow(tx: Any) -> None:
        tx.plain("SELECT set_config('statement_timeout', '50ms', true)")
        tx.plain("SELECT pg_sleep(20)")

    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await store._database.write(slow)
    # Its former session may not be over yet: until then it cannot be used.
    await eventually(lambda: submitted(store))


async def test_a_commit_without_an_answer_is_unknown(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(store._database, PostgresDatabase)
    session = store._database._session
    failures: list[bool] = []
    store._database.listeners.on_failure(lambda: failures.append(True))
    leave = session._leave_pipeline

    def cut() -> None:
        monkeypatch.setattr(session, "_leave_pipeline", leave)
        leave()
        session._opened().close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(session, "_leave_pipeline", cut)
    with pytest.raises(CommitUnknown, match="perhaps it has"):
        await submitted(store)
    assert failures == [True]
    assert await eventually(store.counts) == {("default", JobState.QUEUED): 1}, "it has, here"
    assert sum((await store.demands()).values()) == 1


async def test_a_long_read_does_not_hold_up_writes(store: Store) -> None:
    go_on = threading.Event()

    def waits(reader: Any) -> list[Any]:
        go_on.wait(60)
        return list(reader.plain("SELECT 1"))

    reading = asyncio.ensure_future(store._database.read(waits, long=True))
    await running(store)
    assert not reading.done()
    go_on.set()
    assert await reading == [(1,)]


async def test_a_long_read_is_begun_again_on_a_new_connection(store: Store, url: str) -> None:
    job = await submitted(store)
    assert len((await store.jobs())[0]) == 1
    server().cut(database_of(url))
    assert [found.id for found in (await store.jobs())[0]] == [job]


async def test_statements_of_long_reads_are_prepared_once(store: Store) -> None:
    def prepared(reader: Any) -> int:
        ((count,),) = reader.plain("SELECT count(*) FROM pg_prepared_statements")
        return int(count)

    read = store._database.read
    counts = [await read(prepared, long=True) for _ in range(3)]
    assert counts[0] < counts[1] == counts[2]


async def test_a_long_read_that_fails_leaves_nothing_open(store: Store) -> None:
    def fails(reader: Any) -> None:
        reader.plain("SELECT 1")
        raise LookupError

    def refused(reader: Any) -> None:
        reader.plain("SELECT nothing")

    read = store._database.read
    for operation, error in ((fails, LookupError), (refused, OperationFault)):
        with pytest.raises(error):
            await read(operation, long=True)
        job = await submitted(store)
        assert job in [found.id for found in (await store.jobs())[0]]


async def test_backups_are_the_databases_business(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"pg_dump.*--no-database"):
        await store.backup(tmp_path / "copy.db")
    assert not list(tmp_path.iterdir())


async def test_a_check_names_contradictions(store: Store) -> None:
    key = await running(store)
    assert await store.check() == []

    def tear(tx: Any) -> None:
        tx.plain("UPDATE attempts SET state = 'ended' RETURNING 1")

    await store._database.write(tear)
    assert await store.check() == [f"job {key.job} and its attempts contradict each other"]


async def test_what_is_too_much_for_a_slow_database_is_refused_and_the_rest_is_done(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_server.store.postgresql.database.MOST_WAITING", 10)
    store = await Store.open(url)
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        begun.set()
        go_on.wait(30)

    held = store._database.write(slow)
    await asyncio.to_thread(begun.wait, 30)
    submits = [asyncio.ensure_future(submitted(store)) for _ in range(15)]
    await asyncio.sleep(0)
    with pytest.raises(StoreOverloaded, match="10 operations wait") as refused:
        await store.queues()
    assert refused.value.retry_after == 5
    go_on.set()
    await held
    results = await asyncio.gather(*submits, return_exceptions=True)
    taken = [found for found in results if isinstance(found, str)]
    assert len(taken) == 10
    assert all(isinstance(found, str | StoreOverloaded) for found in results)
    assert sum((await store.counts()).values()) == 10
    for job in taken:
        assert (await store.job(job)).state is JobState.QUEUED
    await store.close()
