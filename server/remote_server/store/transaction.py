"""What an operation on the database gets: statements to run, a timeline to write, news to tell.

All statements are SQLAlchemy Core, compiled to the database's SQL once; they then run on the
driver's own cursor, because SQLAlchemy's execution layer costs about four times what SQLite
itself does for statements as short as these. The price: plain column types only, and every
value is a named parameter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from sqlalchemy import bindparam, insert
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.sql import ClauseElement

from remote_protocol.errors import LocalProtocolError
from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import Commit, Principal
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


@dataclass(slots=True)
class News:
    """What an operation changed, beyond its rows; void when it is rolled back."""

    notes: list[dict[str, object]] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    waiting: dict[str, int] = field(default_factory=dict)
    moved: dict[tuple[str, str], int] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    rooms: set[str] = field(default_factory=set)
    queued: bool = False
    held: float | None = None

    def merge(self, other: News) -> None:
        """Add what another operation changed."""
        self.notes += other.notes
        self.ended |= other.ended
        self.rooms |= other.rooms
        self.queued |= other.queued
        if other.held is not None:
            self.hold(other.held)
        for demand, change in other.waiting.items():
            self.waiting[demand] = self.waiting.get(demand, 0) + change
        for place, change in other.moved.items():
            self.moved[place] = self.moved.get(place, 0) + change
        for outcome, change in other.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + change

    def hold(self, until: float) -> None:
        """A job waits until then."""
        self.held = until if self.held is None else min(self.held, until)

    def commit(self) -> Commit:
        """The summary for those who wait."""
        jobs = frozenset(str(note["job"]) for note in self.notes)
        return Commit(
            jobs,
            frozenset(self.ended),
            self.queued,
            frozenset(self.rooms),
            self.waiting,
            self.moved,
            self.outcomes,
            tuple(
                (str(note["job"]), cast("float", note["at"]))
                for note in self.notes
                if note.get("what") == "started" and note.get("attempt") == 1
            ),
            self.held,
        )


class Transaction(Reader):
    """Reads and writes that become real together or not at all."""

    __slots__ = ("news",)

    def __init__(self, connection: sqlite3.Connection, statements: Statements) -> None:
        super().__init__(connection, statements)
        self.news = News()

    def run(self, statement: ClauseElement, parameters: Parameters) -> int:
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
        by: Principal | None = None,
    ) -> None:
        """Add a timeline entry. The transaction writes all of them together at its end."""
        self.news.notes.append(
            {
                "job": job,
                "at": at,
                "what": what,
                "state": None if state is None else state.value,
                "attempt": attempt,
                "agent": agent,
                "source": "agent" if from_agent else "server",
                "detail": detail,
                "actor": None if by is None else by.text,
            }
        )
        if state is not None and state.terminal:
            self.news.ended.add(job)

    def waits(self, demand: str, change: int) -> None:
        """`change` more jobs with this demand (its stored text) are ready to be assigned."""
        news = self.news
        news.waiting[demand] = news.waiting.get(demand, 0) + change
        if change > 0:
            news.queued = True

    def holds(self, until: float) -> None:
        """A job waits until its next attempt's time (Unix seconds) has come."""
        self.news.hold(until)
        # The dispatcher must hear of it, to be awake then.
        self.news.queued = True

    def moves(
        self,
        queue: str,
        old: JobState | None,
        new: JobState | None,
        reason: EndReason | None = None,
    ) -> None:
        """A job of `queue` changes its state; `old` is None for a new one, `new` for one that is
        forgotten. `reason`: of its end."""
        moved = self.news.moved
        if old is not None:
            moved[queue, old.value] = moved.get((queue, old.value), 0) - 1
        if new is not None:
            moved[queue, new.value] = moved.get((queue, new.value), 0) + 1
        if reason is not None:
            outcomes = self.news.outcomes
            outcomes[queue, reason.value] = outcomes.get((queue, reason.value), 0) + 1

    def write_timeline(self) -> None:
        """Write the entries noted; the database calls it before the commit."""
        if self.news.notes:
            self.many(_INSERT_TIMELINE, self.news.notes)
