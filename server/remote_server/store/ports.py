"""What the repositories need of a database. No driver, no dialect: adapters have those.

An operation is a plain function of a `Reader` or `Transaction`. It may run twice, and in another
thread than the event loop's: it has no effect but through its argument, touches nothing that the
loop changes, and returns plain values.

    OperationFault      the database refuses what the operation asks for: its own fault, not to be
                        repeated; nothing was stored
    StoreUnavailable    the database cannot be used now; nothing was stored
    CommitUnknown       the same, but nobody can say whether it was stored
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeVar

from sqlalchemy import bindparam, insert
from sqlalchemy.sql import ClauseElement

from remote_protocol.states import EndReason, JobState
from remote_server.domain.audit import Entry, Link
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import SYSTEM, Principal
from remote_server.store.known_attempts import KnownAttempts
from remote_server.store.listeners import Listeners
from remote_server.store.schema import timeline

T = TypeVar("T")
Durability = Literal["full", "normal"]
"""`full`: what is acknowledged survives a power cut; `normal`: the last moments before it may be
lost, the database stays whole."""
Parameters = Mapping[str, object]
Row = Any
"""A named tuple of the statement's columns."""
NOTHING: Final[Parameters] = {}
_EVENT: Final[dict[str, Any]] = {
    column.name: bindparam(column.name)
    for column in timeline.c
    if column.name not in ("seq", "actor")
}
INSERT_TIMELINE: Final = insert(timeline).values(_EVENT | {"actor": bindparam("actor")})
# Most events are nobody's wish, and Python's driver of SQLite takes its time for each null.
INSERT_UNASKED: Final = insert(timeline).values(_EVENT)


class OperationFault(Exception):
    """The database refuses a statement: a bug of the operation, or a rule of the schema."""


class Reader(Protocol):
    """Reads of one moment: nothing of other transactions becomes visible between them."""

    def one(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> Row | None:
        """The first row, None when there is none."""

    def all(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> list[Row]:
        """All rows."""

    def audit_end(self) -> Link:
        """Where the audit's chain ends: the highest number that was ever written, which is noted
        apart from the entries, and the newest entry's hash."""


class Urgency(Enum):
    """What somebody waits for who has something written."""

    COMMIT = auto()
    RUN = auto()
    """It is run at once. Where it leads to a report that is committed at once, within a moment, it
    may share the commit of that."""
    BASE = auto()
    """That what it rests on is stored, while nothing of its own transaction but reports came before
    it: then `written` hears of the result, and its commit may wait for others. Where that is not
    so, `written` does not, and it is as urgent as COMMIT."""
    NONE = auto()
    """Nobody waits for it, so that even its run may wait some milliseconds for others."""


class Report:
    """Base of operations that change an attempt and its job by what was reported, as others of the
    same transaction may do next. They know what is postponed, and keep up what is known."""

    __slots__ = ()


class Elsewhere(Report, Generic[T]):
    """An operation that has nothing to do with any job that an agent holds: it leaves alone what is
    postponed and known."""

    __slots__ = ("_operation",)

    def __init__(self, operation: Callable[[Transaction], T]) -> None:
        self._operation = operation

    def __call__(self, tx: Transaction) -> T:
        return self._operation(tx)


class Postponed(Protocol):
    """A change that is not written yet, because the next report may change the same again."""

    def write(self, tx: Transaction) -> None:
        """Write it after all."""


class Transaction(Reader, Protocol):
    """Reads and writes that become real together or not at all."""

    by: Principal
    """Who writes."""
    changes: ChangeSet
    events: list[dict[str, object]]
    asked: bool
    """Somebody's wish is among the events."""
    entries: list[Entry]
    """Of the audit."""
    wrote: bool
    """The operation that runs now has written something."""
    postponed: dict[str, Postponed]
    """By jobs. Nobody but a `Report` runs before they are written."""
    known: KnownAttempts
    """Of the session; a `Report` finds it as the one before has left it."""
    offers: int
    """Attempts that were given to agents: as many acceptances are expected within a moment."""
    ends: int
    """Attempts that ended."""

    def run(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> None:
        """Execute. A refusal may show later, at the commit at the latest."""

    def changed(self, statement: ClauseElement, parameters: Parameters) -> int:
        """Execute; the number of rows that were changed. Waits for the database."""

    def many(self, statement: ClauseElement, parameters: Sequence[Parameters]) -> None:
        """Execute once for each set of parameters."""

    def lock_audit(self) -> Link:
        """Where the audit's chain ends; nobody else moves it before this transaction is over."""

    def move_audit(self, end: Link) -> None:
        """The chain ends here now, after the entries were written."""

    def begin(self) -> None:
        """Nothing was changed so far."""
        self.by = SYSTEM
        self.changes = ChangeSet()
        self.events = []
        self.asked = False
        self.entries = []
        self.wrote = False
        self.postponed = {}
        self.offers = self.ends = 0

    def write_postponed(self) -> None:
        """Write what was postponed: somebody may read it next."""
        if self.postponed:
            postponed, self.postponed = self.postponed, {}
            for change in postponed.values():
                change.write(self)

    def note(
        self,
        job: str,
        at: float,
        what: str,
        *,
        state: JobState | None = None,
        attempt: int = 0,
        agent: str | None = None,
        detail: str = "",
        asked: bool = True,
    ) -> None:
        """Add a timeline event. The transaction writes all of them together at its end. `asked`:
        whoever writes wanted just that."""
        self.wrote = True
        actor = self.by.text if asked else None
        self.asked = self.asked or actor is not None
        self.events.append(
            {
                "job": job,
                "at": at,
                "what": what,
                "state": None if state is None else state._value_,
                "attempt": attempt,
                "agent": agent,
                "source": "server",
                "detail": detail,
                "actor": actor,
            }
        )
        self.changes.jobs.add(job)
        if state is not None and state.terminal:
            self.changes.ended.add(job)

    def audit(
        self, action: str, kind: str, subject: str, detail: Mapping[str, Any] = NOTHING
    ) -> None:
        """Note in the audit what whoever writes does to the subject of this kind. The transaction
        writes all entries together at its end. No secret may be in the detail."""
        self.record(Entry(self.by, action, kind, subject, detail))

    def record(self, entry: Entry) -> None:
        """Add an entry to the audit, whoever it is about."""
        self.wrote = True
        self.entries.append(entry)
        self.changes.audited = True

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
            was = queue, old._value_
            counts[was] = counts.get(was, 0) - 1
        if new is not None:
            now = queue, new._value_
            counts[now] = counts.get(now, 0) + 1
        if reason is not None:
            ends = self.changes.end_counts
            why = queue, reason._value_
            ends[why] = ends.get(why, 0) + 1
            if new is JobState.FAILED:
                failed = self.changes.failures
                failed[queue] = failed.get(queue, 0) + 1

    def write_timeline(self) -> None:
        """Write the events noted; the database calls it before the commit."""
        if self.events:
            self.many(INSERT_TIMELINE if self.asked else INSERT_UNASKED, self.events)


class Write(NamedTuple):
    """An operation that waits for its turn, whose it is, and who waits for it."""

    operation: Callable[[Transaction], Any]
    by: Principal
    future: asyncio.Future[Any]
    urgency: Urgency = Urgency.COMMIT
    written: Callable[[Any], None] | None = None
    """Hears of the result before the commit."""
    heard: Callable[[asyncio.Future[Any]], None] | None = None
    """Hears what came of it before others who wait for their futures."""


class Database(Protocol):
    """One database, used by one event loop; the one writer of it, unless opened as a guest."""

    listeners: Listeners

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
        """Run `operation` in a transaction, perhaps together with others.

        The future has its result once that is committed, in the order of the calls. What the
        operation raises goes to its future alone. StoreUnavailable when the database fails.
        `relaxed`: a power cut (not a crash of the program) may undo it after it was reported.
        `written`: called in the event loop with the result before the commit, by a database whose
        commit holds the loop. What it does must be harmless when the commit fails, or the program
        dies before it. What the future has then is true: the operation may have run again.
        `heard`: called in the event loop with the future when it is done, before those go on who
        wait for others of the transaction where the commit holds the loop. It must not be
        cancelled.
        """

    async def read(
        self,
        operation: Callable[[Reader], T],
        *,
        then: Callable[[T], None] | None = None,
        long: bool = False,
        ahead: bool = False,
    ) -> T:
        """Run `operation` on the last commit. StoreUnavailable when the database fails.

        `then` is called with the result before any later commit is published: what it sets can
        be kept up by the change sets. `long`: it may take its time, and must not hold up others;
        with it there is no such order. `ahead`: it may also see what was run since the last commit,
        and may be undone: for those whose only conclusion is a write that looks again, or who
        would rather heed a wish too soon than commit for themselves.
        """

    def opened(self, transaction: Transaction) -> None:
        """Called in the first transaction after the opening: sees to it that numbers of events are
        never given twice."""

    def restored(self, transaction: Transaction) -> bool:
        """Whether the database was restored from a copy since this was asked last."""

    async def backup(self, target: Path) -> int:
        """Copy the database to a file while it is in use; the copy's size in bytes. ServerError
        when that fails, or is the business of the database."""

    async def check(self) -> list[str]:
        """What is wrong with the database, a sentence for each fault."""

    async def close(self) -> None:
        """Commit what is pending and close."""
