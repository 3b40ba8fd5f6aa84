"""The tick writer: every write of one turn of the event loop shares one transaction.

SQLite runs inline in the loop: on a local disk a commit is shorter than the hop to a thread and
back. Operations are plain functions of a `Transaction`. They may run twice, so they have no
effect but through it. Reads see the last commit; a caller that awaited its write reads it.

Nobody is told of a loss by power cut if what was lost is known elsewhere or will be done again:
such writes are `relaxed`, and a commit of nothing else is not synced. The next synced commit
covers them, because the WAL is one sequential file. Touches the database file only.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import SYSTEM, Principal
from remote_server.errors import StoreUnavailable
from remote_server.store import sqlite
from remote_server.store.transaction import Reader, Statements, Transaction

T = TypeVar("T")
FLUSH_TIME: Final = 0.02
"""Seconds after which a flush commits what it has and leaves the rest to the next turn."""
# The operation's own fault, not the database's.
_FAULTS: Final = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
)
_Waiter = tuple[Callable[[Transaction], Any], Principal, "asyncio.Future[Any]"]
"""An operation, whose it is, and who waits for it."""


class Database:
    """One SQLite database, used by one event loop."""

    def __init__(self, path: Path, durability: sqlite.Durability = "full") -> None:
        self.path = path
        self._durability = durability
        self._statements = Statements()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._pending: list[_Waiter] = []
        self._relaxed = True
        self._synced = True
        self._scheduled = False
        self._listeners: list[Callable[[ChangeSet], None]] = []
        self._failed: list[Callable[[], None]] = []

    def on_commit(self, listener: Callable[[ChangeSet], None]) -> None:
        """Call `listener` after each commit that changed something worth telling."""
        self._listeners.append(listener)

    def on_failure(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a commit failed: what it wrote may or may not be there."""
        self._failed.append(listener)

    def write(
        self,
        operation: Callable[[Transaction], T],
        *,
        by: Principal = SYSTEM,
        relaxed: bool = False,
    ) -> asyncio.Future[T]:
        """Run `operation` in the transaction of this turn of the loop.

        The future has its result once that is committed, in the order of the calls. What the
        operation raises goes to its future alone. StoreUnavailable when the database fails.
        `relaxed`: a power cut (not a crash of the program) may undo it after it was reported.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._pending.append((operation, by, future))
        self._relaxed = self._relaxed and relaxed
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._flush)
        return future

    async def read(self, operation: Callable[[Reader], T]) -> T:
        """Run `operation` on the last commit. StoreUnavailable when the database fails."""
        try:
            return operation(Reader(self._open(), self._statements))
        except sqlite3.Error as error:
            if isinstance(error, _FAULTS):
                raise
            self._give_up()
            raise _unavailable(error) from error

    def close(self) -> None:
        """Commit what is pending, then close the file."""
        while self._pending:
            self._flush()
        self._closed = True
        self._give_up()

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable("the server is stopping")
        if self._connection is None:
            self._connection = sqlite.connect(self.path, self._durability)
            self._synced = self._durability == "full"
        return self._connection

    def _give_up(self) -> None:
        """Close the connection: after a failure its state is not worth guessing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # Nothing is lost by an error: uncommitted work is rolled back by whoever opens it next.
            with suppress(sqlite3.Error):
                connection.close()

    def _flush(self) -> None:
        self._scheduled = False
        batch = [waiter for waiter in self._pending if not waiter[2].done()]
        self._pending = []
        relaxed, self._relaxed = self._relaxed, True
        if not batch:
            return
        done: list[tuple[asyncio.Future[Any], Any]] = []
        failed: list[tuple[asyncio.Future[Any], Exception]] = []
        try:
            connection = self._open()
            self._sync(connection, not relaxed)
            connection.execute("BEGIN IMMEDIATE")
            transaction = Transaction(connection, self._statements)
            try:
                left = self._run(transaction, batch, done)
                transaction.write_timeline()
            except sqlite3.Error as error:
                if not isinstance(error, _FAULTS):
                    raise
                left = self._redo(connection, transaction, batch, done, failed)
            except Exception:
                left = self._redo(connection, transaction, batch, done, failed)
            connection.execute("COMMIT")
        except (sqlite3.Error, StoreUnavailable) as error:
            self._fail(batch, error)
            return
        except BaseException as error:
            # Our own bug: nobody may wait for ever because of it.
            self._fail(batch, error)
            raise
        if left:
            self._pending = left + self._pending
            self._relaxed = self._relaxed and relaxed
            if not self._scheduled:
                self._scheduled = True
                left[0][2].get_loop().call_soon(self._flush)
        for future, result in done:
            if not future.done():
                future.set_result(result)
        for future, fault in failed:
            if not future.done():
                future.set_exception(fault)
        if transaction.changes:
            self._tell(transaction.changes)

    def _sync(self, connection: sqlite3.Connection, wanted: bool) -> None:
        """Have the next commit synced, or not; with durability `normal` none ever is."""
        wanted = wanted and self._durability == "full"
        if wanted != self._synced:
            sqlite.set_synced(connection, wanted)
            self._synced = wanted

    def _run(
        self,
        transaction: Transaction,
        batch: list[_Waiter],
        done: list[tuple[asyncio.Future[Any], Any]],
    ) -> list[_Waiter]:
        """Run the batch until the time is up; what is left of it."""
        ends = time.perf_counter() + FLUSH_TIME
        for number, (operation, by, future) in enumerate(batch, 1):
            transaction.by = by
            done.append((future, operation(transaction)))
            if time.perf_counter() > ends:
                return batch[number:]
        return []

    def _redo(
        self,
        connection: sqlite3.Connection,
        transaction: Transaction,
        batch: list[_Waiter],
        done: list[tuple[asyncio.Future[Any], Any]],
        failed: list[tuple[asyncio.Future[Any], Exception]],
    ) -> list[_Waiter]:
        """Some operation raised: run all of them again, each behind a savepoint of its own, so
        that only the guilty ones are undone, still with one commit."""
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        done.clear()
        total = ChangeSet()
        for operation, by, future in batch:
            transaction.by, transaction.changes, transaction.events = by, ChangeSet(), []
            connection.execute("SAVEPOINT operation")
            try:
                result = operation(transaction)
                transaction.write_timeline()
            except Exception as error:
                if isinstance(error, sqlite3.Error) and not isinstance(error, _FAULTS):
                    raise
                connection.execute("ROLLBACK TO operation")
                failed.append((future, error))
            else:
                done.append((future, result))
                total.merge(transaction.changes)
            connection.execute("RELEASE operation")
        transaction.changes = total
        return []

    def _fail(self, batch: list[_Waiter], error: BaseException) -> None:
        self._give_up()
        for *_, future in batch:
            if not future.done():
                future.set_exception(_unavailable(error))
        for listener in self._failed:
            listener()

    def _tell(self, changes: ChangeSet) -> None:
        for listener in self._listeners:
            listener(changes)


def _unavailable(error: BaseException) -> StoreUnavailable:
    if isinstance(error, StoreUnavailable):
        return error
    hint = ""
    text = str(error)
    if "full" in text:
        hint = "; free some space on its disk"
    elif "locked" in text:
        hint = "; another program is using it"
    return StoreUnavailable(f"the database cannot be used now: {text}{hint}; try again later")
