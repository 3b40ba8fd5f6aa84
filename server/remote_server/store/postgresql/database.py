"""PostgreSQL as the store's database: operations run on a worker thread, many in one transaction.

What waits when the thread is free becomes one batch, sent as a pipeline: the database works while
the next statements are made. Short reads use the same connection, between two batches: they see
the last commit, and nobody else writes. Long ones have a connection and a thread of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
import structlog

from remote_server.domain.model import SYSTEM, Principal
from remote_server.errors import ServerError, StoreOverloaded, StoreUnavailable
from remote_server.store.batches import Batch, refuse, settle
from remote_server.store.listeners import Listeners
from remote_server.store.ports import (
    Durability,
    Reader,
    Transaction,
    Urgency,
    Write,
)
from remote_server.store.postgresql.connection import LONG_TIMEOUT, Connection, Target, connect
from remote_server.store.postgresql.session import RightLost, WriterSession
from remote_server.store.postgresql.transaction import PostgresReader
from remote_server.store.postgresql.worker import Worker

T = TypeVar("T")
MOST: Final = 64
"""Operations in one transaction."""
MOST_WAITING: Final = 50_000
"""Operations that wait for a thread; what comes then is refused. Each agent of a large fleet may
have some at a restart."""
BATCH_TIME: Final = 0.1
"""Seconds after which a batch is committed and the rest waits for the next."""
RETRY: Final = 0.5
"""Seconds between two attempts to reach the database; what is asked in between fails at once."""
_TORN: Final = (
    "SELECT id FROM jobs LEFT JOIN (SELECT job, count(*) AS holders FROM attempts"
    " WHERE state IN ('offered', 'accepted', 'running') GROUP BY job) AS live ON live.job = id"
    " WHERE coalesce(holders, 0) != CASE WHEN state IN ('assigned', 'running') THEN 1 ELSE 0 END"
    " LIMIT 100"
)
_log = structlog.get_logger("remote_server.store")


class _Writing(NamedTuple):
    write: Write
    relaxed: bool


class _Reading(NamedTuple):
    operation: Callable[[Reader], Any]
    then: Callable[[Any], None] | None
    future: asyncio.Future[Any]


class PostgresDatabase:
    """One database on a server, used by one event loop. `Database` of ports.py."""

    def __init__(self, target: Target, session: WriterSession, durability: Durability) -> None:
        self.listeners = Listeners()
        self._target = target
        self._session = session
        self._durability = durability
        self._worker: Worker[_Writing | _Reading] = Worker("database", self._turn, MOST_WAITING)
        self._reader: Worker[_Reading] | None = None
        self._long: Connection | None = None
        self._tried = 0.0
        self._closed = False
        self._lost: RightLost | None = None

    def write(
        self,
        operation: Callable[[Transaction], T],
        *,
        by: Principal = SYSTEM,
        relaxed: bool = False,
        urgency: Urgency = Urgency.COMMIT,
        written: Callable[[T], None] | None = None,
        heard: Callable[[asyncio.Future[T]], None] | None = None,
    ) -> asyncio.Future[T]:
        """Run `operation` in a transaction, together with what else waits: there is always
        something while the one before is being committed, so that nobody has to be patient. The
        commit does not hold the loop, so that nobody has to hear of a result before it, either."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if heard is not None:
            future.add_done_callback(heard)
        if self._closed:
            future.set_exception(StoreUnavailable("the server is stopping"))
        elif not self._worker.put(_Writing(Write(operation, by, future, urgency), relaxed)):
            future.set_exception(_overloaded())
        return future

    async def read(
        self,
        operation: Callable[[Reader], T],
        *,
        then: Callable[[T], None] | None = None,
        long: bool = False,
        ahead: bool = False,
    ) -> T:
        """Run `operation` on the last commit."""
        if self._closed:
            raise StoreUnavailable("the server is stopping")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        reading = _Reading(operation, then, future)
        if long or self._session.guest:
            if self._reader is None:
                self._reader = Worker("database reader", self._read_long, MOST_WAITING)
            taken = self._reader.put(reading)
        else:
            taken = self._worker.put(reading)
        if not taken:
            raise _overloaded()
        return await future

    def opened(self, transaction: Transaction) -> None:
        """Numbers of events are never given twice."""
        self._session.opened(transaction)

    def restored(self, transaction: Transaction) -> bool:
        """Whether the database is another copy than at the last start."""
        return self._session.restored(transaction)

    async def backup(self, target: Path) -> int:
        """Refused: PostgreSQL looks after its own."""
        raise ServerError(
            f"{self._target.name} is backed up by PostgreSQL's own means, pg_dump for example. "
            "Do that first; then copy logs and inputs with: remote-server backup --no-database FILE"
        )

    async def check(self) -> list[str]:
        """Jobs that contradict their attempts. The rest, PostgreSQL checks itself."""

        def look(reader: Reader) -> list[str]:
            assert isinstance(reader, PostgresReader)
            rows = reader.plain(_TORN)
            return [f"job {row[0]} and its attempts contradict each other" for row in rows]

        return await self.read(look, long=True)

    async def close(self) -> None:
        """Commit what is pending and end the sessions."""
        if self._closed:
            return
        if self._lost is None and not self._session.guest:
            # The next one need not know: it skips some numbers then.
            await asyncio.gather(self.write(self._session.leave), return_exceptions=True)
        self._closed = True
        await self._worker.stop()
        self._session.give_up()
        if self._reader is not None:
            await self._reader.stop()
        if self._long is not None:
            self._long.close()

    # In the worker's thread ----------------------------------------------------------------

    def _turn(self, jobs: list[_Writing | _Reading]) -> None:
        try:
            self._carry_out(jobs)
        except Exception as error:
            # Our own bug; nobody may wait for ever because of it.
            _log.exception("the database's thread failed")
            self._session.close()
            why = StoreUnavailable(f"the database cannot be used now: {error}")
            self._worker.tell(self._failed, [_future_of(job) for job in jobs], why)

    def _carry_out(self, jobs: list[_Writing | _Reading]) -> None:
        """Everything that waited: reads first, each on the last commit, then the writes."""
        writes: list[_Writing] = []
        for job in jobs:
            if isinstance(job, _Writing):
                if not job.write.future.done():
                    writes.append(job)
            elif not job.future.done():
                self._read(job)
        while writes:
            part, writes = writes[:MOST], writes[MOST:]
            left = self._write([job.write for job in part], all(job.relaxed for job in part))
            if left:
                writes = part[-len(left) :] + writes

    def _read(self, job: _Reading) -> None:
        for last in (False, True):
            try:
                self._connected()
                result = job.operation(self._session.reader())
            except StoreUnavailable as error:
                if not self._again(error) or last:
                    self._worker.tell(_fail_read, job, self._lost or error)
                    return
            except Exception as error:
                self._worker.tell(_fail_read, job, error)
                return
            else:
                self._worker.tell(_answer, job, result)
                return

    def _write(self, writes: list[Write], relaxed: bool) -> list[Write]:
        """Run and commit some writes; those that are left."""
        for last in (False, True):
            left: Sequence[Write] = ()
            try:
                self._connected()
                self._session.relaxed = relaxed
                batch = Batch(self._session)
                left = batch.run(writes, BATCH_TIME)
                batch.commit()
            except StoreUnavailable as error:
                # Nothing was stored, so that it can be done on a new session; but perhaps it was.
                if not self._again(error) or last:
                    # What there was no time for has nothing to do with it.
                    futures = [write.future for write in writes[: len(writes) - len(left)]]
                    self._worker.tell(self._failed, futures, self._lost or error)
                    return list(left)
            else:
                self._worker.tell(self._committed, batch)
                return list(left)
        raise AssertionError("unreachable")

    def _again(self, error: StoreUnavailable) -> bool:
        """Whether what failed, and is undone now, may succeed at once: on a new session."""
        if type(error) is not StoreUnavailable:
            self._session.close()
            return False
        self._session.abandon()
        if self._session.connected:
            return False
        try:
            self._connected()
        except StoreUnavailable:
            return False
        return True

    def _connected(self) -> None:
        """See to it that there is a session. StoreUnavailable."""
        if self._lost is not None:
            raise self._lost
        if self._session.connected:
            return
        now = time.monotonic()
        if now - self._tried < RETRY:
            raise StoreUnavailable(f"the database {self._target.name} cannot be reached now")
        self._tried = now
        try:
            self._session.reconnect()
        except RightLost as error:
            self._lost = error
            self._worker.tell(self.listeners.lost, error)
            raise
        except ServerError as error:
            raise StoreUnavailable(str(error)) from error
        _log.warning("the database is reached again", database=self._target.name)
        self._worker.tell(self.listeners.reconnected)

    # In the event loop ---------------------------------------------------------------------

    def _committed(self, batch: Batch) -> None:
        settle(batch)
        if batch.changes:
            self.listeners.published(batch.changes)

    def _failed(self, futures: list[asyncio.Future[Any]], error: Exception) -> None:
        refuse(futures, error)
        self.listeners.failed()

    # In the reader's thread ----------------------------------------------------------------

    def _read_long(self, jobs: list[_Reading]) -> None:
        for job in jobs:
            if job.future.done():
                continue
            try:
                result = self._on_snapshot(job.operation)
            except Exception as error:
                self._worker.tell(_fail_read, job, error)
            else:
                self._worker.tell(_answer, job, result)

    def _on_snapshot(self, operation: Callable[[Reader], T]) -> T:
        for last in (False, True):
            if self._long is None or self._long.closed:
                self._long = connect(self._target, LONG_TIMEOUT)
            connection = self._long
            try:
                # One moment for all statements, whatever is committed meanwhile.
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                return operation(PostgresReader(connection))
            except (psycopg.Error, StoreUnavailable) as error:
                if last or not connection.closed:
                    raise StoreUnavailable(f"the database cannot be used now: {error}") from error
            finally:
                _end(connection)
        raise AssertionError("unreachable")


def _end(snapshot: Connection) -> None:
    """End a transaction that has only read."""
    try:
        # After a ROLLBACK the driver has the server forget all that is prepared.
        snapshot.execute("COMMIT")
    except psycopg.Error:
        snapshot.close()


def _overloaded() -> StoreOverloaded:
    return StoreOverloaded(
        f"{MOST_WAITING} operations wait for the database already; try again later"
    )


def _future_of(job: _Writing | _Reading) -> asyncio.Future[Any]:
    return job.write.future if isinstance(job, _Writing) else job.future


def _answer(job: _Reading, result: Any) -> None:
    if job.future.done():
        return
    try:
        if job.then is not None:
            job.then(result)
    except Exception as error:
        job.future.set_exception(error)
    else:
        job.future.set_result(result)


def _fail_read(job: _Reading, error: Exception) -> None:
    if not job.future.done():
        job.future.set_exception(error)
