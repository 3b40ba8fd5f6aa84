"""Reads and writes on a connection to PostgreSQL. Touches the network.

In pipeline mode what has no result is only sent; the next result, or the commit, shows whether it
was refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.sql import ClauseElement

from remote_server.domain.audit import Link, link_from
from remote_server.store.known_attempts import KnownAttempts
from remote_server.store.meta import SELECT_META
from remote_server.store.ports import NOTHING, Parameters, Reader, Row, Transaction
from remote_server.store.postgresql.connection import Connection, translated
from remote_server.store.schema import meta
from remote_server.store.statements import Compiled, Statements

STATEMENTS: Final = Statements(PGDialect(paramstyle="numeric_dollar"))  # type: ignore[no-untyped-call]

AUDIT_END: Final = "audit_end"
"""Name in the table `meta` of the newest entry's number and hash. No sequence: one goes on where a
transaction was rolled back, too."""
# Another process may write, too (`token create`): it waits for the end of this transaction.
_LOCKED_END: Final = SELECT_META.with_for_update()
_put: Final = insert(meta).values(name=bindparam("wanted"), value=bindparam("link"))
_MOVE_END: Final = _put.on_conflict_do_update(
    index_elements=[meta.c.name], set_={"value": _put.excluded.value}
)


class PostgresReader(Reader):
    """Reads, each on a cursor of its own, as pipelines want it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def one(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> Row | None:
        """The first row, None when there is none."""
        compiled = STATEMENTS(statement)
        try:
            row = self._execute(compiled, parameters).fetchone()
        except psycopg.Error as error:
            raise translated(error, self._connection) from None
        return None if row is None else compiled.row(row)

    def all(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> list[Row]:
        """All rows."""
        compiled = STATEMENTS(statement)
        try:
            return list(map(compiled.row, self._execute(compiled, parameters).fetchall()))
        except psycopg.Error as error:
            raise translated(error, self._connection) from None

    def plain(self, text: str) -> list[tuple[Any, ...]]:
        """The rows of a statement without parameters."""
        try:
            return self._connection.execute(text).fetchall()
        except psycopg.Error as error:
            raise translated(error, self._connection) from None

    def audit_end(self) -> Link:
        """Where the audit's chain ends."""
        return self._end(SELECT_META)

    def _end(self, statement: ClauseElement) -> Link:
        found = self.one(statement, {"wanted": AUDIT_END})
        return link_from(None if found is None else found.value)

    def _execute(self, compiled: Compiled, parameters: Parameters) -> psycopg.Cursor[Any]:
        values = compiled.place(parameters)
        try:
            return self._connection.execute(compiled.text, values)
        except psycopg.DataError:
            # Said before anything is sent: U+0000 is no character for PostgreSQL.
            plain = tuple(_without_nul(value) for value in values)
            if plain == values:
                raise
            return self._connection.execute(compiled.text, plain)


def _without_nul(value: object) -> object:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


class PostgresTransaction(PostgresReader, Transaction):
    """Reads and writes in an open transaction."""

    __slots__ = ("_pipeline", "by", "changes", "entries", "events", "known", "postponed", "wrote")

    def __init__(
        self,
        connection: Connection,
        pipeline: psycopg.Pipeline | None,
        known: KnownAttempts | None = None,
    ) -> None:
        super().__init__(connection)
        self._pipeline = pipeline
        self.known = KnownAttempts() if known is None else known
        self.begin()

    def run(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> None:
        """Execute; a refusal may show later."""
        self.wrote = True
        try:
            self._execute(STATEMENTS(statement), parameters)
        except psycopg.Error as error:
            raise translated(error, self._connection) from None

    def changed(self, statement: ClauseElement, parameters: Parameters) -> int:
        """Execute and wait; the number of rows that were changed."""
        try:
            cursor = self._execute(STATEMENTS(statement), parameters)
            if self._pipeline is not None:
                self._pipeline.sync()
            count = cursor.rowcount
        except psycopg.Error as error:
            raise translated(error, self._connection) from None
        self.wrote = self.wrote or count > 0
        return count

    def many(self, statement: ClauseElement, parameters: Sequence[Parameters]) -> None:
        """Execute once for each set of parameters."""
        for each in parameters:
            self.run(statement, each)

    def lock_audit(self) -> Link:
        """Where the audit's chain ends; others who ask wait for the end of this transaction."""
        return self._end(_LOCKED_END)

    def move_audit(self, end: Link) -> None:
        """The chain ends here now."""
        self.run(_MOVE_END, {"wanted": AUDIT_END, "link": end.text})
