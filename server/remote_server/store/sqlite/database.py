"""SQLite as the store's database: every write of one turn of the event loop shares a transaction.

It runs inline in the loop: on a local disk a commit is shorter than the hop to a thread and back
(ADR 1). Reads see the last commit; a caller that awaited its write reads it. A transaction that
nobody waits for stays open for some milliseconds, and what comes then shares its commit (ADR 49);
an acceptance is such a write once what it rests on is stored (ADR 50).

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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import bindparam, column, literal_column, table, update

from remote_server.domain.model import SYSTEM, Principal
from remote_server.errors import ServerError, StoreUnavailable
from remote_server.store.batches import Batch
from remote_server.store.known_attempts import KnownAttempts
from remote_server.store.listeners import Listeners
from remote_server.store.meta import read_meta, remove_meta
from remote_server.store.ports import (
    Durability,
    Reader,
    Transaction,
    Urgency,
    Write,
)
from remote_server.store.sqlite import files
from remote_server.store.sqlite.answers import ANSWER_TURNS, Answers
from remote_server.store.sqlite.connection import connect, set_synced
from remote_server.store.sqlite.transaction import (
    STATEMENTS,
    SqliteReader,
    SqliteTransaction,
    translated,
)

T = TypeVar("T")


FLUSH_TIME: Final = 0.02
"""Seconds after which a flush commits what it has and leaves the rest to the next turn."""
LONGEST_WAIT: Final = 0.005
"""Seconds for which what nobody waits for may wait for others: a write for its run, a transaction
for its commit."""


@dataclass(frozen=True, slots=True)
class SqlitePorts:
    """What the adapter needs of the machine."""

    connect: Callable[[Path, Durability], sqlite3.Connection] = connect
    later: Callable[[Callable[[], None]], object] | None = None
    """Has the writes of this turn of the loop carried out; None: in the loop's next turn."""
    clock: Callable[[], float] = time.perf_counter
    """Seconds, to see how long a transaction takes."""
    wall: Callable[[], float] = time.time
    """Unix seconds, for the audit."""
    longest_wait: float = LONGEST_WAIT


_UNUSABLE: Final = "the database cannot be used now"
SKIPPED: Final = 1_000_000
"""Numbers of events left out after a crash: more than can have been lost."""
_sequence: Final = table("sqlite_sequence", column("name"), column("seq"))
_SKIP: Final = (
    update(_sequence)
    .where(_sequence.c.name == literal_column("'timeline'"))
    .values(seq=_sequence.c.seq + bindparam("count"))
)


class SqliteDatabase:
    """One SQLite database, used by one event loop. `Database` of ports.py."""

    def __init__(
        self,
        path: Path,
        durability: Durability = "full",
        unclean: bool = False,
        ports: SqlitePorts = SqlitePorts(),
    ) -> None:
        self.path = path
        self._ports = ports
        self.listeners = Listeners()
        self._answers = Answers(self.listeners, self._soon)
        self._unclean = unclean
        """Its last user did not close it."""
        self._durability = durability
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._known = KnownAttempts()
        self._pending: list[Write] = []
        self._batch: Batch | None = None
        """The transaction that is open: its writes have run, and are to be committed."""
        self._relaxed = True
        self._synced = True
        self._lasting = False
        """No assignment that the database has will be lost, as far as its durability promises. One
        may be that was found there, or whose commit failed or was not synced."""
        self._rows = 0
        """Rows that the connection had changed before the open transaction."""
        self._scheduled = False
        self._waiting = False
        """A timer runs for writes that are not urgent."""
        self._deadline: asyncio.TimerHandle | None = None
        """When the open transaction is committed at the latest, if it waits for others."""

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
        """Run `operation` in this turn of the loop; without urgency: in the next turn that runs
        others, or soon."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._pending.append(Write(operation, by, future, urgency, written, heard))
        self._relaxed = self._relaxed and relaxed
        if self._scheduled:
            return future
        if urgency is not Urgency.NONE or self._ports.later is not None:
            self._scheduled = True
            self._soon(self._flush)
        elif not self._waiting:
            self._waiting = True
            loop.call_later(self._ports.longest_wait, self._waited)
        return future

    def _waited(self) -> None:
        self._waiting = False
        if self._pending and not self._scheduled:
            self._flush()

    async def read(
        self,
        operation: Callable[[Reader], T],
        *,
        then: Callable[[T], None] | None = None,
        long: bool = False,
        ahead: bool = False,
    ) -> T:
        """Run `operation` on the last commit: it never sees what may be undone, unless it is asked
        for `ahead`."""
        if not ahead:
            self._commit()
        try:
            result = operation(SqliteReader(self._open(), STATEMENTS))
        except StoreUnavailable as error:
            if self._batch is not None:
                self._fail(self._batch.writes, error)
            self._give_up()
            raise
        if then is not None:
            then(result)
        return result

    def opened(self, transaction: Transaction) -> None:
        """After a power cut, events that somebody has seen may be gone: their numbers must not be
        given to others."""
        if self._unclean:
            transaction.run(_SKIP, {"count": SKIPPED})

    def restored(self, transaction: Transaction) -> bool:
        """Whether it is a copy that says so; from now on it says so no more."""
        copied = read_meta(transaction, files.COPIED) is not None
        if copied:
            remove_meta(transaction, files.COPIED)
        return copied

    async def backup(self, target: Path) -> int:
        """Copy the database to a file while it is in use; the copy's size in bytes."""
        try:
            return await asyncio.to_thread(files.backup, self.path, target)
        except (OSError, sqlite3.Error) as error:
            raise ServerError(f"the backup to {target} failed: {error}") from error

    async def check(self) -> list[str]:
        """What is wrong with the database, a sentence for each fault."""
        return await asyncio.to_thread(files.faults, self.path)

    async def close(self) -> None:
        """Commit what is pending, then close the file."""
        while self._pending:
            self._flush()
            self._commit()
        self._commit()
        self._answers.settle()
        self._closed = True
        self._give_up()

    # A session of batches.py -------------------------------------------------------------------

    def begin(self, isolated: bool = False) -> SqliteTransaction:
        """Begin a transaction."""
        self.command("BEGIN IMMEDIATE")
        return SqliteTransaction(self._open(), STATEMENTS, self._known)

    def commit(self) -> None:
        """Make it real."""
        self.command("COMMIT")

    def rollback(self) -> None:
        """Undo it."""
        self.command("ROLLBACK")

    def command(self, text: str) -> None:
        """Carry out a command about transactions."""
        try:
            self._open().execute(text)
        except sqlite3.Error as error:
            raise translated(error) from error

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable("the server is stopping")
        if self._connection is None:
            try:
                self._connection = self._ports.connect(self.path, self._durability)
            except sqlite3.Error as error:
                raise translated(error) from error
            self._synced = self._durability == "full"
        return self._connection

    def _give_up(self) -> None:
        """Close the connection: after a failure its state is not worth guessing."""
        connection, self._connection = self._connection, None
        self._known.clear()
        self._lasting = False
        if connection is not None:
            # Nothing is lost by an error: uncommitted work is rolled back by whoever opens it next.
            with suppress(sqlite3.Error):
                connection.close()

    def _flush(self) -> None:
        """Run the writes of this turn of the loop, and commit them, unless they may wait."""
        self._scheduled = False
        writes = [write for write in self._pending if not write.future.done()]
        self._pending = []
        relaxed, self._relaxed = self._relaxed, True
        if not writes:
            return
        try:
            # What somebody hears of early leads to what has to be synced.
            synced = not relaxed or any(write.written is not None for write in writes)
            batch = self._batch = self._open_batch(synced and self._durability == "full")
            left = batch.run(writes, FLUSH_TIME)
        except Exception as error:
            known = () if self._batch is None else self._batch.writes
            self._fail([*known, *writes], error)
            return
        # What is sent because of it leaves before the commit holds the loop.
        told = self._answers.before_commit(batch)
        if left:
            # There is more to do than there is time for: nobody is waited for, and the rest has its
            # turn whatever becomes of the commit.
            self._pending = [*left, *self._pending]
            self._relaxed = self._relaxed and relaxed
            if not self._scheduled:
                self._scheduled = True
                self._soon(self._flush)
            self._commit()
        elif batch.may_wait:
            self._wait()
        elif told:
            self._commit_after(ANSWER_TURNS)
        else:
            self._commit()

    def _open_batch(self, synced: bool) -> Batch:
        """The open transaction, or one that is begun."""
        if self._batch is not None and synced and not self._synced:
            # Whether a transaction is synced has to be known before it is begun.
            self._commit()
        if self._batch is None:
            self._sync(synced)
            self._rows = self._open().total_changes
            self._batch = Batch(self, self._ports.clock, self._ports.wall, self._lasting)
        return self._batch

    def _close_batch(self) -> Batch | None:
        """Nothing more is run in the open transaction."""
        batch, self._batch = self._batch, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        return batch

    def _wait(self) -> None:
        """Leave the transaction open for others that come within a moment."""
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._ports.longest_wait, self._waited_enough)

    def _waited_enough(self) -> None:
        """Commit what is open, with what waits for its run."""
        if self._pending and not self._scheduled:
            self._flush()
        self._commit()

    def _commit_after(self, turns: int) -> None:
        """Commit what is open after so many turns of the loop, with what has come until then."""
        if turns:
            self._soon(partial(self._commit_after, turns - 1))
            return
        if self._pending:
            self._flush()
        self._commit()

    def _soon(self, step: Callable[[], None]) -> None:
        (self._ports.later or asyncio.get_running_loop().call_soon)(step)

    def _commit(self) -> None:
        """Commit the open transaction, and tell of it."""
        batch = self._close_batch()
        if batch is None:
            return
        try:
            batch.commit()
        except Exception as error:
            self._fail(batch.writes, error)
            return
        self._note_lasting(batch)
        self._answers.committed(batch)

    def _note_lasting(self, batch: Batch) -> None:
        """A synced commit makes all last that was committed before, but only if it wrote itself."""
        if self._durability == "full" and not self._synced:
            self._lasting = self._lasting and not (batch.offers or batch.isolated)
        elif not self._lasting and not batch.isolated:
            self._lasting = self._open().total_changes > self._rows

    def _sync(self, wanted: bool) -> None:
        """Have the next commit synced, or not."""
        connection = self._open()
        if wanted != self._synced:
            try:
                set_synced(connection, wanted)
            except sqlite3.Error as error:
                raise translated(error) from error
            self._synced = wanted

    def _fail(self, writes: list[Write], error: Exception) -> None:
        """Nothing of the open transaction is stored, as far as anybody can say."""
        self._close_batch()
        self._give_up()
        known = isinstance(error, StoreUnavailable)
        told = error if known else StoreUnavailable(f"{_UNUSABLE}: {error}; try again later")
        self._answers.failed(writes, told)
        if not known:
            # Our own bug; nobody may wait for ever because of it.
            raise error
