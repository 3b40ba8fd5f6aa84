"""Reads and writes on a connection to PostgreSQL. Touches the network.

In a pipeline what has no result is only noted to be sent; the next result, or the commit, shows
whether it was refused.
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
from remote_server.store.postgresql.pipeline import Pipeline, without_nul
from remote_server.store.schema import meta
from remote_server.store.statements import Statements

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
        compiled = STATEMENTS[statement]
        rows = self._rows(compiled.text, compiled.place(parameters))
        return compiled.row(rows[0]) if rows else None

    def all(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> list[Row]:
        """All rows."""
        compiled = STATEMENTS[statement]
        return list(map(compiled.row, self._rows(compiled.text, compiled.place(parameters))))

    def plain(self, text: str) -> list[tuple[Any, ...]]:
        """The rows of a statement without parameters."""
        return self._rows(text, ())

    def audit_end(self) -> Link:
        """Where the audit's chain ends."""
        return self._end(SELECT_META)

    def _end(self, statement: ClauseElement) -> Link:
        found = self.one(statement, {"wanted": AUDIT_END})
        return link_from(None if found is None else found.value)

    def _rows(self, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._execute(text, values).fetchall()
        except psycopg.Error as error:
            raise translated(error, self._connection) from None

    def _execute(self, text: str, values: Sequence[Any]) -> psycopg.Cursor[Any]:
        try:
            return self._connection.execute(text, values)
        except psycopg.DataError:
            # Said before anything is sent: U+0000 is no character for PostgreSQL.
            plain = [without_nul(value) for value in values]
            if plain == list(values):
                raise
            return self._connection.execute(text, plain)


class PostgresTransaction(PostgresReader, Transaction):
    """Reads and writes in an open transaction."""

    __slots__ = (
        "_pipeline",
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
        connection: Connection,
        pipeline: Pipeline | None,
        known: KnownAttempts | None = None,
    ) -> None:
        super().__init__(connection)
        self._pipeline = pipeline
        self.known = KnownAttempts() if known is None else known
        self.begin()

    def run(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> None:
        """Execute; a refusal may show later."""
        self.wrote = True
        compiled = STATEMENTS[statement]
        try:
            if self._pipeline is not None:
                self._pipeline.send(compiled.text, compiled.place(parameters))
            else:
                self._execute(compiled.text, compiled.place(parameters))
        except psycopg.Error as error:
            raise translated(error, self._connection) from None

    def changed(self, statement: ClauseElement, parameters: Parameters) -> int:
        """Execute and wait; the number of rows that were changed."""
        compiled = STATEMENTS[statement]
        try:
            if self._pipeline is not None:
                sent = self._pipeline.send(compiled.text, compiled.place(parameters))
                count = self._pipeline.count(sent)
            else:
                count = self._execute(compiled.text, compiled.place(parameters)).rowcount
        except psycopg.Error as error:
            raise translated(error, self._connection) from None
        self.wrote = self.wrote or count > 0
        return count

    def _rows(self, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._pipeline is None:
            return super()._rows(text, values)
        try:
            return self._pipeline.rows(self._pipeline.send(text, values))
        except psycopg.Error as error:
            raise translated(error, self._connection) from None

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
