"""Many operations in one transaction: only the guilty ones are undone, still with one commit.

Adapters give the connection; this decides what happens on it. No I/O of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from remote_server.domain.change_set import ChangeSet
from remote_server.errors import StoreUnavailable
from remote_server.store.chain import extend
from remote_server.store.ports import (
    Elsewhere,
    OperationFault,
    Report,
    Transaction,
    Urgency,
    Write,
)


class Session(Protocol):
    """A connection on which one transaction runs at a time."""

    def begin(self, isolated: bool = False) -> Transaction:
        """Begin a transaction; `isolated`: whatever is refused shows at once."""

    def commit(self) -> None:
        """Make it real. OperationFault, StoreUnavailable, CommitUnknown."""

    def rollback(self) -> None:
        """Undo it."""

    def command(self, text: str) -> None:
        """Carry out a command about savepoints, and everything before it."""


class Batch:
    """The writes of one transaction, and what came of them. It is begun when it is made; `lasting`:
    what was committed before it will not be lost.

    Whatever a method raises, nothing was stored (StoreUnavailable), or nobody can say
    (CommitUnknown).
    """

    def __init__(
        self,
        session: Session,
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
        lasting: bool = False,
    ) -> None:
        self.writes: list[Write] = []
        """Those that ran."""
        self.done: list[tuple[Write, Any]] = []
        self.failed: list[tuple[Write, Exception]] = []
        self.changes = ChangeSet()
        """Complete once it is committed."""
        self._session = session
        self._clock = clock
        self._wall = wall
        """The time of what is noted for the audit."""
        self._untold: list[tuple[Callable[[Any], None], Any]] = []
        """Who is to hear of a result before the commit."""
        self._urgent = False
        """Somebody waits for the commit."""
        self._based = lasting
        """A report that runs now rests on former commits and other reports alone."""
        self._confirms = False
        """Somebody was told of a report that rests on those."""
        self.isolated = False
        """All ran again, one by one."""
        self._seconds = 0.0
        began = clock()
        self._transaction = session.begin()
        self._seconds = clock() - began

    def run(self, writes: Sequence[Write], seconds: float) -> Sequence[Write]:
        """Run at least one of the writes, as many as there is time for; those that are left."""
        began = self._clock()
        try:
            left = self._run(writes, began + seconds)
        except BaseException:
            self._transaction.known.clear()
            raise
        self._seconds += self._clock() - began
        return left

    def commit(self) -> None:
        """Make it real."""
        began = self._clock()
        try:
            self._commit()
        except BaseException:
            self._transaction.known.clear()
            raise
        self.changes.seconds = self._seconds + self._clock() - began

    def _commit(self) -> None:
        if not self.isolated:
            try:
                _finish(self._transaction, self._wall)
                self._session.commit()
                self.changes = self._transaction.changes
            except OperationFault:
                self._one_by_one()
        if self.isolated:
            self._session.commit()

    @property
    def may_wait(self) -> bool:
        """Whether its commit may wait for the next one: nobody waits for what it has, and for each
        end an acceptance is expected within a moment; or there are acceptances, and no ends."""
        transaction = self._transaction
        expected = self._confirms or transaction.offers > 0
        return expected and not self._urgent and transaction.offers >= transaction.ends

    @property
    def offers(self) -> int:
        """How many attempts it has given to agents."""
        return self._transaction.offers

    def tell(self) -> bool:
        """Let those who wish hear of their results before the commit; whether there were any."""
        untold, self._untold = self._untold, []
        for tell, result in untold:
            _tell(tell, result)
        return bool(untold)

    def _run(self, writes: Sequence[Write], ends: float) -> Sequence[Write]:
        transaction = self._transaction
        for number, write in enumerate(writes, 1):
            self.writes.append(write)
            operation, told, urgency = write.operation, write.written, write.urgency
            transaction.by = write.by
            transaction.wrote = False
            try:
                report = isinstance(operation, Report)
                if not report:
                    transaction.write_postponed()
                    transaction.known.clear()
                if not report or isinstance(operation, Elsewhere):
                    # It may give attempts to agents, which are undone when the commit fails.
                    self._based = False
                if urgency is Urgency.BASE and not self._based:
                    told, urgency = None, Urgency.COMMIT
                self._urgent = self._urgent or urgency is Urgency.COMMIT
                result = operation(transaction)
                self.done.append((write, result))
                if told is not None:
                    self._untold.append((told, result))
                    self._confirms = self._confirms or urgency is Urgency.BASE
            except StoreUnavailable:
                raise
            except Exception as error:
                if transaction.wrote or isinstance(error, OperationFault):
                    self.writes += writes[number:]
                    self._one_by_one()
                    return ()
                # There is nothing to undo: most often a report came too late.
                self.failed.append((write, error))
            if self._clock() > ends:
                return writes[number:]
        return ()

    def _one_by_one(self) -> None:
        """Some operation is guilty: run all of them again, each after a savepoint of its own. Then
        there is nothing more to run, and what was told before is compared by those who heard it."""
        session = self._session
        session.rollback()
        self.isolated = self._urgent = True
        self.done, self.failed, self._untold = [], [], []
        self.changes = ChangeSet()
        self._transaction = transaction = session.begin(isolated=True)
        transaction.known.clear()
        for write in self.writes:
            transaction.begin()
            transaction.by = write.by
            session.command("SAVEPOINT operation")
            try:
                if not isinstance(write.operation, Report):
                    transaction.known.clear()
                result = write.operation(transaction)
                _finish(transaction, self._wall)
                session.command("RELEASE SAVEPOINT operation")
            except StoreUnavailable:
                raise
            except Exception as error:
                session.command("ROLLBACK TO SAVEPOINT operation")
                session.command("RELEASE SAVEPOINT operation")
                transaction.known.clear()
                self.failed.append((write, error))
            else:
                self.done.append((write, result))
                self.changes.merge(transaction.changes)


def _finish(transaction: Transaction, wall: Callable[[], float]) -> None:
    transaction.write_postponed()
    transaction.write_timeline()
    if transaction.entries:
        extend(transaction, wall())


def settle(batch: Batch, *, first: bool = False) -> None:
    """Tell everybody who waits what came of it; `first`: those alone who wish to hear before others
    (`hear`). In the event loop."""
    for write, result in batch.done:
        if not write.future.done() and (write.heard is not None or not first):
            write.future.set_result(result)
    for write, error in batch.failed:
        if not write.future.done() and (write.heard is not None or not first):
            write.future.set_exception(error)


def hear(writes: Iterable[Write]) -> None:
    """Let those hear what came of theirs who wish to be the first. In the event loop."""
    for write in writes:
        if write.heard is not None:
            _tell(write.heard, write.future)


def _tell(hearer: Callable[[Any], None], what: Any) -> None:
    try:
        hearer(what)
    except Exception as error:
        # Our own bug; it must not cost others their commit, or what they wait for.
        fault = {"message": "a result was not heard of", "exception": error}
        asyncio.get_running_loop().call_exception_handler(fault)


def refuse(futures: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    """Tell everybody who waits that the database failed. In the event loop."""
    for future in futures:
        if not future.done():
            future.set_exception(error)
