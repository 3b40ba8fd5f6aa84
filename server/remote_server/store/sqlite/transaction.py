"""Reads and writes on a connection to SQLite, and what its errors mean. Touches the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from sqlalchemy import column, literal_column, select, table
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

from remote_server.domain.audit import NO_HASH, ORIGIN, Link
from remote_server.errors import StoreUnavailable
from remote_server.store.known_attempts import KnownAttempts
from remote_server.store.ports import NOTHING, OperationFault, Parameters, Reader, Row, Transaction
from remote_server.store.schema import audit
from remote_server.store.statements import Compiled, Statements

STATEMENTS: Final = Statements(sqlite.dialect(paramstyle="qmark"))
_AT_ONCE: Final = (16, 4, 2)
"""Rows that one INSERT writes: a row by itself costs twice as much, a text for every number of rows
would leave the cache of prepared statements."""
_sequence: Final = table("sqlite_sequence", column("name"), column("seq"))
# SQLite itself keeps the highest number that a column with AUTOINCREMENT has had, on the page that
# each event of the timeline changes already: a page of our own would cost each commit a write.
_AUDIT_END: Final = (
    select(_sequence.c.seq, audit.c.hash)
    .select_from(_sequence.outerjoin(audit, audit.c.number == _sequence.c.seq))
    .where(_sequence.c.name == literal_column("'audit'"))
)
_FAULTS: Final = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
)


def translated(error: sqlite3.Error) -> Exception:
    """The same as an error of the port."""
    if isinstance(error, _FAULTS):
        return OperationFault(str(error))
    hint, text = "", str(error)
    if "full" in text:
        hint = "; free some space on its disk"
    elif "locked" in text:
        hint = "; another program is using it"
    return StoreUnavailable(f"the database cannot be used now: {text}{hint}; try again later")


class SqliteReader(Reader):
    """Reads. Inline in the loop nobody else writes between them."""

    __slots__ = ("_connection", "_statements")

    def __init__(self, connection: sqlite3.Connection, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    def one(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> Row | None:
        """The first row, None when there is none."""
        compiled = self._statements[statement]
        try:
            row = self._connection.execute(compiled.text, compiled.place(parameters)).fetchone()
        except sqlite3.Error as error:
            raise translated(error) from error
        return None if row is None else compiled.row(row)

    def all(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> list[Row]:
        """All rows."""
        compiled = self._statements[statement]
        try:
            found = self._connection.execute(compiled.text, compiled.place(parameters))
            return list(map(compiled.row, found))
        except sqlite3.Error as error:
            raise translated(error) from error

    def audit_end(self) -> Link:
        """Where the audit's chain ends."""
        found = self.one(_AUDIT_END)
        if found is None:
            return ORIGIN
        # Somebody has removed the newest entry: the next one's number shows that.
        return Link(found.seq, NO_HASH if found.hash is None else found.hash)


class SqliteTransaction(SqliteReader, Transaction):
    """Reads and writes in an open transaction."""

    __slots__ = (
        "asked",
        "by",
        "changes",
        "ends",
        "entries",
        "events",
        "known",
        "offers",
        "postponed",
        "wrote",
    )

    def __init__(
        self,
        connection: sqlite3.Connection,
        statements: Statements,
        known: KnownAttempts | None = None,
    ) -> None:
        super().__init__(connection, statements)
        self.known = KnownAttempts() if known is None else known
        self.begin()

    def run(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> None:
        """Execute."""
        self.wrote = True
        compiled = self._statements[statement]
        try:
            self._connection.execute(compiled.text, compiled.place(parameters))
        except sqlite3.Error as error:
            raise translated(error) from error

    def changed(self, statement: ClauseElement, parameters: Parameters) -> int:
        """Execute; the number of rows that were changed."""
        compiled = self._statements[statement]
        try:
            count = self._connection.execute(compiled.text, compiled.place(parameters)).rowcount
        except sqlite3.Error as error:
            raise translated(error) from error
        self.wrote = self.wrote or count > 0
        return count

    def many(self, statement: ClauseElement, parameters: Sequence[Parameters]) -> None:
        """Execute once for each set of parameters."""
        if len(parameters) == 1:
            self.run(statement, parameters[0])
            return
        self.wrote = True
        compiled = self._statements[statement]
        rows = list(map(compiled.place, parameters))
        try:
            done = self._insert(compiled, rows) if compiled.row_of_values else 0
            if rest := rows[done:]:
                self._connection.executemany(compiled.text, rest)
        except sqlite3.Error as error:
            raise translated(error) from error

    def _insert(self, compiled: Compiled, rows: list[tuple[Any, ...]]) -> int:
        """Write several rows at a time, as long as there are; how many were written."""
        done = 0
        for count in _AT_ONCE:
            while len(rows) - done >= count:
                values = tuple(chain.from_iterable(rows[done : done + count]))
                self._connection.execute(compiled.for_rows(count), values)
                done += count
        return done

    def lock_audit(self) -> Link:
        """Where the audit's chain ends. Whoever has begun (IMMEDIATE) is the only writer."""
        return self.audit_end()

    def move_audit(self, end: Link) -> None:
        """SQLite has noted the number with the entries."""
