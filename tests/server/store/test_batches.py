"""Many operations in one transaction, on a session that only counts what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.sql import ClauseElement

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.audit import ORIGIN, Link
from remote_server.domain.model import SYSTEM, Principal
from remote_server.errors import CommitUnknown, NotFound, StoreUnavailable
from remote_server.store.batches import Batch, refuse, settle
from remote_server.store.known_attempts import KnownAttempt, KnownAttempts
from remote_server.store.ports import (
    NOTHING,
    Elsewhere,
    OperationFault,
    Parameters,
    Report,
    Transaction,
    Urgency,
    Write,
)
from remote_server.store.schema import meta

PUT = meta.insert()
KEY = AttemptId("0" * 26, 1)


class FakeTransaction(Transaction):
    def __init__(self, said: list[str]) -> None:
        self.said = said
        self.known = KnownAttempts()
        self.begin()

    def one(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> Any:
        return None

    def all(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> list[Any]:
        return []

    def run(self, statement: ClauseElement, parameters: Parameters = NOTHING) -> None:
        self.wrote = True
        self.said.append(str(parameters["name"]))
        if parameters["name"] == "refused":
            raise OperationFault("refused")

    def changed(self, statement: ClauseElement, parameters: Parameters) -> int:
        return 0

    def many(self, statement: ClauseElement, parameters: Sequence[Parameters]) -> None:
        self.said += ["timeline"] * len(parameters)

    def audit_end(self) -> Link:
        return ORIGIN

    def lock_audit(self) -> Link:
        return ORIGIN

    def move_audit(self, end: Link) -> None:
        self.said.append(f"end {end.number}")


class FakeSession:
    def __init__(self, commit: Exception | None = None) -> None:
        self.said: list[str] = []
        self.error = commit

    def begin(self, isolated: bool = False) -> Transaction:
        self.said.append("BEGIN ISOLATED" if isolated else "BEGIN")
        return FakeTransaction(self.said)

    def commit(self) -> None:
        self.said.append("COMMIT")
        error, self.error = self.error, None
        if error is not None:
            raise error

    def rollback(self) -> None:
        self.said.append("ROLLBACK")

    def command(self, text: str) -> None:
        self.said.append(text.replace(" SAVEPOINT operation", "").replace(" operation", ""))


def write(operation: Callable[[Transaction], Any], by: Principal = SYSTEM) -> Write:
    return Write(operation, by, asyncio.get_running_loop().create_future())


def carry_out(session: FakeSession, writes: Sequence[Write], seconds: float = 1) -> Batch:
    batch = Batch(session)
    assert batch.run(writes, seconds) == ()
    batch.commit()
    return batch


def put(name: str) -> Callable[[Transaction], str]:
    def operation(tx: Transaction) -> str:
        tx.run(PUT, {"name": name})
        return name

    return operation


async def test_everything_is_committed_once() -> None:
    session = FakeSession()
    alice = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice")

    def noted(tx: Transaction) -> str | None:
        tx.note("j", 1.0, "queued")
        return tx.by.text

    writes = [write(put("a")), write(noted, alice), write(put("b"))]
    batch = carry_out(session, writes)
    assert session.said == ["BEGIN", "a", "b", "timeline", "COMMIT"]
    assert [result for _, result in batch.done] == ["a", alice.text, "b"]
    assert batch.changes.jobs == {"j"}
    settle(batch)
    assert [write.future.result() for write in writes] == ["a", alice.text, "b"]


async def test_what_is_postponed_waits_for_reports_only() -> None:
    session = FakeSession()

    class Late:
        def write(self, tx: Transaction) -> None:
            tx.run(PUT, {"name": "late"})

    class Postponing(Report):
        def __call__(self, tx: Transaction) -> None:
            tx.postponed["j"] = Late()
            tx.run(PUT, {"name": "report"})

    carry_out(session, [write(Postponing()), write(Postponing()), write(put("a"))])
    assert session.said == ["BEGIN", "report", "report", "late", "a", "COMMIT"]
    session.said.clear()
    carry_out(session, [write(Postponing())])
    assert session.said == ["BEGIN", "report", "late", "COMMIT"]


async def test_the_audit_is_the_last_that_is_written() -> None:
    session = FakeSession()

    def noted(tx: Transaction) -> None:
        tx.audit("test.do", "test", "mine")
        tx.note("j", 1.0, "queued")

    carry_out(session, [write(noted), write(put("a"))], 1)
    # The events of the timeline, the entry, where its chain ends.
    assert session.said == ["BEGIN", "a", "timeline", "timeline", "end 1", "COMMIT"]


async def test_what_raises_before_it_writes_is_only_left_out() -> None:
    session = FakeSession()

    def late(tx: Transaction) -> None:
        raise NotFound("job", "x")

    batch = carry_out(session, [write(put("a")), write(late), write(put("b"))])
    assert session.said == ["BEGIN", "a", "b", "COMMIT"]
    assert [type(error) for _, error in batch.failed] == [NotFound]


@pytest.mark.parametrize("name", ["refused", "half"])
async def test_what_raises_after_it_wrote_is_undone_alone(name: str) -> None:
    session = FakeSession()

    def guilty(tx: Transaction) -> None:
        tx.run(PUT, {"name": name})
        raise NotFound("job", "x")

    batch = carry_out(session, [write(put("a")), write(guilty), write(put("b"))])
    assert session.said == [
        *("BEGIN", "a", name, "ROLLBACK", "BEGIN ISOLATED"),
        *("SAVEPOINT", "a", "RELEASE"),
        *("SAVEPOINT", name, "ROLLBACK TO", "RELEASE"),
        *("SAVEPOINT", "b", "RELEASE", "COMMIT"),
    ]
    assert [result for _, result in batch.done] == ["a", "b"]
    assert len(batch.failed) == 1


async def test_a_refusal_that_shows_at_the_commit_is_found_too() -> None:
    session = FakeSession(OperationFault("a unique key"))
    batch = carry_out(session, [write(put("a")), write(put("b"))])
    assert session.said[:5] == ["BEGIN", "a", "b", "COMMIT", "ROLLBACK"]
    assert [result for _, result in batch.done] == ["a", "b"]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), CommitUnknown("perhaps")])
async def test_a_database_that_is_away_fails_all(error: Exception) -> None:
    session = FakeSession(error)
    writes = [write(put("a"))]
    with pytest.raises(type(error)):
        carry_out(session, writes, 1)
    assert "ROLLBACK" not in session.said
    refuse([writes[0].future], error)
    with pytest.raises(type(error)):
        await writes[0].future


async def test_what_there_is_no_time_for_is_left() -> None:
    session = FakeSession()
    writes = [write(put(name)) for name in "abc"]
    batch = Batch(session)
    assert list(batch.run(writes, -1)) == writes[1:]
    batch.commit()
    assert session.said == ["BEGIN", "a", "COMMIT"]
    writes[0].future.cancel()
    settle(batch)


async def test_those_who_wish_hear_of_results_before_the_commit() -> None:
    session = FakeSession(OperationFault("a unique key"))
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))

    def broken(_: str) -> None:
        raise ValueError("our own bug")

    heard: list[str] = []
    writes = [write(put(name)) for name in "abc"]
    writes[0] = writes[0]._replace(written=broken)
    writes[1] = writes[1]._replace(written=heard.append)
    batch = Batch(session)
    batch.run(writes, 1)
    assert batch.tell()
    assert (heard, session.said) == (["b"], ["BEGIN", "a", "b", "c"])
    assert [str(fault["exception"]) for fault in faults] == ["our own bug"]
    batch.commit()
    # They ran again; what is true now, the futures have.
    assert session.said.count("b") == 2
    assert not batch.tell() and heard == ["b"]
    settle(batch)
    assert [write.future.result() for write in writes] == ["a", "b", "c"]


async def test_nobody_hears_early_of_what_may_be_undone() -> None:
    heard: list[str] = []
    writes = [write(put("a"))._replace(written=heard.append), write(put("refused"))]
    batch = Batch(FakeSession())
    batch.run(writes, 1)
    assert not batch.tell() and heard == []
    batch.commit()
    settle(batch)
    assert writes[0].future.result() == "a"
    assert isinstance(writes[1].future.exception(), OperationFault)


class Reporting(Report):
    """A report that writes, and may be refused."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, tx: Transaction) -> str:
        if self.name == "stale":
            raise NotFound("attempt", "x")
        tx.run(PUT, {"name": self.name})
        return self.name


def based(name: str, heard: list[str]) -> Write:
    future = asyncio.get_running_loop().create_future()
    return Write(Reporting(name), SYSTEM, future, Urgency.BASE, heard.append)


def other(operation: Callable[[Transaction], Any]) -> Write:
    future = asyncio.get_running_loop().create_future()
    return Write(operation, SYSTEM, future, Urgency.RUN)


async def test_a_report_that_rests_on_what_is_stored_is_heard_before_its_commit() -> None:
    heard: list[str] = []
    batch = Batch(FakeSession(), lasting=True)
    batch.run([other(Reporting("before")), based("a", heard)], 1)
    assert batch.tell() and heard == ["a"]
    assert batch.may_wait
    # What comes later changes nothing of what it rests on.
    batch.run([other(put("submitted"))], 1)
    assert not batch.tell() and batch.may_wait
    batch.run([based("b", heard)], 1)
    assert not batch.tell() and heard == ["a"]
    assert not batch.may_wait


@pytest.mark.parametrize("operation", [put("x"), Elsewhere(put("x"))])
async def test_one_after_anything_but_reports_waits_for_its_commit(
    operation: Callable[[Transaction], Any],
) -> None:
    """An assignment may have come before it in the same transaction, and be lost with it."""
    heard: list[str] = []
    batch = Batch(FakeSession(), lasting=True)
    batch.run([other(operation), based("a", heard)], 1)
    assert not batch.tell() and not batch.may_wait
    batch.commit()
    assert heard == []


async def test_one_that_rests_on_what_may_be_lost_waits_for_its_commit() -> None:
    heard: list[str] = []
    batch = Batch(FakeSession())
    batch.run([based("a", heard)], 1)
    assert not batch.tell() and not batch.may_wait


async def test_one_that_is_refused_is_not_heard_of() -> None:
    heard: list[str] = []
    batch = Batch(FakeSession(), lasting=True)
    batch.run([based("stale", heard)], 1)
    assert not batch.tell() and not batch.may_wait
    batch.run([based("a", heard), write(put("refused"))], 1)
    assert not batch.tell() and heard == [], "all ran again, one by one"


async def test_an_end_that_no_offer_follows_does_not_wait_with_an_acceptance() -> None:
    class Ending(Report):
        def __call__(self, tx: Transaction) -> None:
            tx.ends += 1

    heard: list[str] = []
    batch = Batch(FakeSession(), lasting=True)
    batch.run([based("a", heard)], 1)
    assert batch.may_wait
    batch.run([other(Ending())], 1)
    assert not batch.may_wait


@pytest.mark.parametrize(
    ("urgency", "ends", "offers", "waits"),
    [
        (Urgency.RUN, 1, 1, True),
        (Urgency.RUN, 0, 1, True),
        (Urgency.RUN, 2, 1, False),
        (Urgency.RUN, 1, 0, False),
        (Urgency.RUN, 0, 0, False),
        (Urgency.COMMIT, 1, 1, False),
    ],
)
async def test_a_commit_waits_only_where_an_acceptance_is_expected_for_each_end(
    urgency: Urgency, ends: int, offers: int, waits: bool
) -> None:
    def count(tx: Transaction) -> None:
        tx.ends += ends
        tx.offers += offers

    batch = Batch(FakeSession())
    batch.run([write(count)._replace(urgency=urgency)], 1)
    assert batch.may_wait is waits


async def test_what_ran_one_by_one_is_committed_at_once() -> None:
    def count(tx: Transaction) -> None:
        tx.offers += 1

    batch = Batch(FakeSession())
    writes = [write(put("refused")), write(count)]
    batch.run([one._replace(urgency=Urgency.RUN) for one in writes], 1)
    assert not batch.may_wait


class Remembered(Report):
    """It says how it leaves an attempt, and may fail then."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def __call__(self, tx: Transaction) -> None:
        tx.known.put(KEY.job, cast(KnownAttempt, SimpleNamespace(number=KEY.number)))
        if self._error is not None:
            raise self._error


async def test_nothing_is_known_of_a_transaction_that_failed() -> None:
    away = StoreUnavailable("away")
    batch = Batch(FakeSession(away))
    batch.run([write(Remembered())], 1)
    known = batch._transaction.known
    assert known.find(KEY) is not None
    with pytest.raises(StoreUnavailable):
        batch.commit()
    assert known.find(KEY) is None, "its commit failed"
    batch = Batch(FakeSession())
    with pytest.raises(StoreUnavailable):
        batch.run([write(Remembered(away))], 1)
    assert batch._transaction.known.find(KEY) is None, "it could not be carried out"
    # The guilty one is the last of those that run one by one.
    batch = Batch(FakeSession())
    batch.run([write(put("refused")), write(Remembered(NotFound("attempt", "too late")))], 1)
    assert [type(error) for _, error in batch.failed] == [OperationFault, NotFound]
    assert batch._transaction.known.find(KEY) is None, "it was undone alone"
