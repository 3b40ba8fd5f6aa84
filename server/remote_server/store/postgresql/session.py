"""The session that may write: it holds the lock, and it knows when it has lost its right.

Used by one thread. A session that is gone is made again, unless somebody else has written
meanwhile: what this server has in memory would be wrong then.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

import psycopg
from sqlalchemy import ColumnElement, bindparam, func, literal_column, select

from remote_server.errors import CommitUnknown, StoreUnavailable
from remote_server.store.known_attempts import KnownAttempts
from remote_server.store.meta import read_meta, remove_meta, set_meta
from remote_server.store.ports import Durability, OperationFault, Transaction
from remote_server.store.postgresql.connection import (
    STATEMENT_TIMEOUT,
    Connection,
    Target,
    connect,
    identity,
    take_lock,
    translated,
)
from remote_server.store.postgresql.pipeline import Pipeline
from remote_server.store.postgresql.transaction import PostgresReader, PostgresTransaction

SKIPPED: Final = 1_000_000
"""Numbers of events left out where some may have been given already: more than can have been."""
WRITER: Final = "writer"
"""Name in the table `meta` of what the last one who took the lock left there."""
CLOSED: Final = "closed"
"""Name in the table `meta` by which the next writer knows that the last one has lost nothing."""
IDENTITY: Final = "identity"
_SEQUENCE: Final[ColumnElement[str]] = literal_column("'timeline_seq_seq'")
_SKIP: Final = select(
    func.setval(_SEQUENCE, func.nextval(_SEQUENCE) + bindparam("count")).label("seq")
)


class RightLost(StoreUnavailable):
    """Another server works with the database, or it is another copy: this server must end."""


class WriterSession:
    """One session at a time; a session of batches.py."""

    def __init__(self, target: Target, connection: Connection, durability: Durability) -> None:
        self._target = target
        self._durability = durability
        self._connection: Connection | None = connection
        self._known = KnownAttempts()
        self._pipeline = Pipeline(connection)
        self._piped = False
        """Statements go through the pipeline now."""
        self._mark = os.urandom(16).hex()
        self._identity = identity(connection)
        self.relaxed = False
        """The next transaction need not wait for the disk."""
        self.guest = False

    def claim(self) -> None:
        """Write down that this is the writer now."""
        with self._opened().transaction():
            set_meta(PostgresTransaction(self._opened(), None), WRITER, self._mark)

    def reader(self) -> PostgresReader:
        """Reads of the last commit: nobody else writes."""
        return PostgresReader(self._opened())

    @property
    def connected(self) -> bool:
        """Whether there is a session, as far as is known."""
        return self._connection is not None and not self._connection.closed

    def reconnect(self) -> None:
        """Begin a new session. StoreUnavailable; RightLost when others have taken over."""
        self.close()
        connection = connect(self._target, STATEMENT_TIMEOUT, self._durability)
        try:
            if not self.guest:
                self._take_again(connection)
        except psycopg.Error as error:
            connection.close()
            raise StoreUnavailable(str(translated(error, connection))) from None
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._pipeline = Pipeline(connection)

    def _take_again(self, connection: Connection) -> None:
        if not take_lock(connection):
            # Our own former session may not be over for the server yet: it is asked again.
            found = read_meta(PostgresReader(connection), WRITER)
            if found != self._mark:
                raise RightLost(f"another server works with the database {self._target.name} now")
            raise StoreUnavailable(
                f"the former session with the database {self._target.name} is not over yet"
            )
        found = read_meta(PostgresReader(connection), WRITER)
        if found != self._mark:
            raise RightLost(f"another server has worked with the database {self._target.name}")
        if identity(connection) != self._identity:
            raise RightLost(
                f"the database {self._target.name} is another copy than before (restored, or "
                "another host took over)"
            )
        # What was committed without waiting for the disk may be gone, and followers saw it.
        PostgresReader(connection).one(_SKIP, {"count": SKIPPED})

    def close(self) -> None:
        """End the session, and with it the right to write."""
        connection, self._connection = self._connection, None
        self._known.clear()
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()
        self._piped = False

    def give_up(self) -> None:
        """Leave the right to write to others, at once: the end of a session takes a moment."""
        with suppress(psycopg.Error, StoreUnavailable):
            if not self.guest:
                self._opened().execute("SELECT pg_advisory_unlock_all()")
        self.close()

    # What the port asks in transactions ----------------------------------------------------

    def opened(self, transaction: Transaction) -> None:
        """Skip numbers of events, unless the last writer has left in order."""
        if read_meta(transaction, CLOSED) is None:
            transaction.one(_SKIP, {"count": SKIPPED})
        else:
            remove_meta(transaction, CLOSED)
        if self._identity and read_meta(transaction, IDENTITY) is None:
            set_meta(transaction, IDENTITY, self._identity)

    def restored(self, transaction: Transaction) -> bool:
        """Whether the database is another copy than at the last start."""
        found = read_meta(transaction, IDENTITY)
        if self._identity is None or found == self._identity:
            return False
        set_meta(transaction, IDENTITY, self._identity)
        return found is not None

    def leave(self, transaction: Transaction) -> None:
        """The last transaction of a writer that ends in order."""
        set_meta(transaction, CLOSED, "1")

    # A session of batches.py ---------------------------------------------------------------

    def begin(self, isolated: bool = False) -> Transaction:
        """Begin a transaction; `isolated`: every refusal shows at once."""
        connection = self._opened()
        if not isolated:
            try:
                self._pipeline.enter()
            except psycopg.Error as error:
                raise translated(error, connection) from None
            self._piped = True
        self.command("BEGIN")
        if self.relaxed and self._durability == "full":
            self.command("SET LOCAL synchronous_commit = off")
        pipeline = None if isolated else self._pipeline
        return PostgresTransaction(connection, pipeline, self._known)

    def commit(self) -> None:
        """Make it real."""
        connection = self._opened()
        try:
            self._execute("COMMIT")
            self._leave_pipeline()
        except psycopg.Error as error:
            found = translated(error, connection)
            if isinstance(found, OperationFault):
                raise found from error
            if error.sqlstate is not None and not connection.closed:
                # The database itself says that it did not do it, or something before it.
                raise found from None
            raise CommitUnknown(
                "the database went away while it was told to store something, and perhaps it has; "
                "look before you try again"
            ) from error

    def rollback(self) -> None:
        """Undo it."""
        # The pipeline says once more what was refused.
        with suppress(psycopg.Error):
            self._leave_pipeline()
        self.command("ROLLBACK")

    def abandon(self) -> None:
        """Undo what failed, and keep the right to write: a stand-by would take over if a wait for
        somebody else's lock cost it. What cannot go on is closed."""
        try:
            self.rollback()
        except StoreUnavailable:
            self.close()

    def command(self, text: str) -> None:
        """Carry out a command about transactions."""
        connection = self._opened()
        try:
            self._execute(text)
        except psycopg.Error as error:
            raise translated(error, connection) from None

    def _execute(self, text: str) -> None:
        if self._piped:
            self._pipeline.send(text)
        else:
            self._opened()
            self._pipeline.command(text)

    def _leave_pipeline(self) -> None:
        piped, self._piped = self._piped, False
        if piped:
            self._pipeline.leave()

    def _opened(self) -> Connection:
        if self._connection is None or self._connection.closed:
            raise StoreUnavailable(f"the database {self._target.name} cannot be used now")
        return self._connection
