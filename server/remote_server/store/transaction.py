"""What an operation on the database gets: statements to run, a timeline to write, changes to tell.

All statements are SQLAlchemy Core, compiled to the database's SQL once; they then run on the
driver's own cursor, because SQLAlchemy's execution layer costs about four times what SQLite
itself does for statements as short as these. The price: plain column types only, and every
value is a named parameter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, insert
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.sql import ClauseElement

from remote_protocol.errors import LocalProtocolError
from remote_protocol.states import EndReason, JobState
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import SYSTEM
from remote_server.store.schema import timeline

Parameters = Mapping[str, object]
Row = Any
"""A tuple in the order of the statement's columns."""

_NOTHING: Final[Parameters] = {}
_INSERT_TIMELINE: Final = insert(timeline).values(
    {column.name: bindparam(column.name) for column in timeline.c if column.name != "seq"}
)


class Statements:
    """Core statements as SQL text, each compiled once."""

    def __init__(self) -> None:
        self._dialect = sqlite_dialect.dialect(paramstyle="named")
        self._texts: dict[ClauseElement, str] = {}

    def text(self, statement: ClauseElement) -> str:
        """The SQL of a statement that is a module's constant."""
        text = self._texts.get(statement)
        if text is None:
            compiled = statement.compile(dialect=self._dialect)
            hidden = [name for name, value in compiled.params.items() if value is not None]
            if hidden:
                raise LocalProtocolError(f"a statement with values inside: {hidden}")
            text = self._texts[statement] = str(compiled)
        return text


class Reader:
    """Reads of one moment: nothing is written between them."""

    __slots__ = ("_connection", "_text")

    def __init__(self, connection: sqlite3.Connection, statements: Statements) -> None:
        self._connection = connection
        self._text = statements.text

    def one(self, statement: ClauseElement, parameters: Parameters = _NOTHING) -> Row | None:
        """The first row, None when there is none."""
        return self._connection.execute(self._text(statement), parameters).fetchone()

    def all(self, statement: ClauseElement, parameters: Parameters = _NOTHING) -> list[Row]:
        """All rows."""
        return self._connection.execute(self._text(statement), parameters).fetchall()


class Transaction(Reader):
    """Reads and writes that become real together or not at all."""

    __slots__ = ("by", "changes", "events")

    def __init__(self, connection: sqlite3.Connection, statements: Statements) -> None:
        super().__init__(connection, statements)
        self.by = SYSTEM
        """Who writes."""
        self.changes = ChangeSet()
        self.events: list[dict[str, object]] = []

    def run(self, statement: ClauseElement, parameters: Parameters) -> None:
        """Execute."""
        self._connection.execute(self._text(statement), parameters)

    def changed(self, statement: ClauseElement, parameters: Parameters) -> int:
        """Execute; the number of rows that were changed."""
        return self._connection.execute(self._text(statement), parameters).rowcount

    def many(self, statement: ClauseElement, parameters: Sequence[Parameters]) -> None:
        """Execute once for each set of parameters."""
        self._connection.executemany(self._text(statement), parameters)

    def note(
        self,
        job: str,
        at: float,
        what: str,
        *,
        state: JobState | None = None,
        attempt: int = 0,
        agent: str | None = None,
        from_agent: bool = False,
        detail: str = "",
    ) -> None:
        """Add a timeline event. The transaction writes all of them together at its end."""
        self.events.append(
            {
                "job": job,
                "at": at,
                "what": what,
                "state": None if state is None else state.value,
                "attempt": attempt,
                "agent": agent,
                "source": "agent" if from_agent else "server",
                "detail": detail,
                "actor": self.by.text,
            }
        )
        changes = self.changes
        changes.jobs.add(job)
        if state is not None and state.terminal:
            changes.ended.add(job)
        elif what == "started" and attempt == 1:
            changes.started.append((job, at))

    def ready(self, demand: str, change: int) -> None:
        """`change` more jobs with this demand (its stored text) are ready to be assigned."""
        counts = self.changes.ready_counts
        counts[demand] = counts.get(demand, 0) + change
        if change > 0:
            self.changes.queued = True

    def moves(
        self,
        queue: str,
        old: JobState | None,
        new: JobState | None,
        reason: EndReason | None = None,
    ) -> None:
        """A job of `queue` changes its state; `old` is None for a new one, `new` for one that is
        forgotten. `reason`: of its end."""
        counts = self.changes.state_counts
        if old is not None:
            counts[queue, old.value] = counts.get((queue, old.value), 0) - 1
        if new is not None:
            counts[queue, new.value] = counts.get((queue, new.value), 0) + 1
        if reason is not None:
            ends = self.changes.end_counts
            ends[queue, reason.value] = ends.get((queue, reason.value), 0) + 1

    def write_timeline(self) -> None:
        """Write the events noted; the database calls it before the commit."""
        if self.events:
            self.many(_INSERT_TIMELINE, self.events)
