"""Many operations in one transaction: only the guilty ones are undone, still with one commit.

Adapters give the connection; this decides what happens on it. No I/O of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from remote_server.domain.change_set import ChangeSet
from remote_server.errors import StoreUnavailable
from remote_server.store.chain import extend
from remote_server.store.ports import OperationFault, Report, Transaction, Write


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


@dataclass(slots=True)
class Batch:
    """What came of the writes of one transaction."""

    done: list[tuple[asyncio.Future[Any], Any]] = field(default_factory=list)
    failed: list[tuple[asyncio.Future[Any], Exception]] = field(default_factory=list)
    left: Sequence[Write] = ()
    """Writes for which there was no time."""
    changes: ChangeSet = field(default_factory=ChangeSet)


class _Guilty(Exception):
    """An operation wrote something, and then raised."""


def carry_out(
    session: Session,
    writes: Sequence[Write],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    wall: Callable[[], float] = time.time,
) -> Batch:
    """Run the writes in one transaction and commit it; at least one, as many as there is time
    for. What they note for the audit has the time of `wall`. StoreUnavailable when nothing was
    stored, CommitUnknown when nobody can say."""
    batch = Batch()
    began = clock()
    transaction = session.begin()
    try:
        _run(transaction, writes, began + seconds, clock, batch)
        _finish(transaction, wall)
        session.commit()
    except (_Guilty, OperationFault):
        session.rollback()
        batch = _one_by_one(session, writes, wall)
    else:
        batch.changes = transaction.changes
    batch.changes.seconds = clock() - began
    return batch


def _run(
    transaction: Transaction,
    writes: Sequence[Write],
    ends: float,
    clock: Callable[[], float],
    batch: Batch,
) -> None:
    for number, write in enumerate(writes, 1):
        transaction.by = write.by
        transaction.wrote = False
        try:
            if transaction.postponed and not isinstance(write.operation, Report):
                transaction.write_postponed()
            batch.done.append((write.future, write.operation(transaction)))
        except (OperationFault, StoreUnavailable):
            raise
        except Exception as error:
            if transaction.wrote:
                raise _Guilty from error
            # There is nothing to undo: most often a report came too late.
            batch.failed.append((write.future, error))
        if clock() > ends:
            batch.left = writes[number:]
            return


def _finish(transaction: Transaction, wall: Callable[[], float]) -> None:
    transaction.write_postponed()
    transaction.write_timeline()
    if transaction.entries:
        extend(transaction, wall())


def _one_by_one(session: Session, writes: Sequence[Write], wall: Callable[[], float]) -> Batch:
    """Some operation is guilty: run all of them again, each after a savepoint of its own."""
    batch = Batch()
    transaction = session.begin(isolated=True)
    for write in writes:
        transaction.begin()
        transaction.by = write.by
        session.command("SAVEPOINT operation")
        try:
            result = write.operation(transaction)
            _finish(transaction, wall)
            session.command("RELEASE SAVEPOINT operation")
        except StoreUnavailable:
            raise
        except Exception as error:
            session.command("ROLLBACK TO SAVEPOINT operation")
            session.command("RELEASE SAVEPOINT operation")
            batch.failed.append((write.future, error))
        else:
            batch.done.append((write.future, result))
            batch.changes.merge(transaction.changes)
    session.commit()
    return batch


def settle(batch: Batch) -> None:
    """Tell everybody who waits what came of it. In the event loop."""
    for future, result in batch.done:
        if not future.done():
            future.set_result(result)
    for future, error in batch.failed:
        if not future.done():
            future.set_exception(error)


def refuse(futures: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    """Tell everybody who waits that the database failed. In the event loop."""
    for future in futures:
        if not future.done():
            future.set_exception(error)
