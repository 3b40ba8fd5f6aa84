"""What is known of attempts is what the database has, whatever happens to them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.changes import Accepted, Finished, Running, Withdrawn
from remote_server.domain.decisions import Decision, Snapshot
from remote_server.domain.demand import Policy, policy_of
from remote_server.errors import ServerError, Stale
from remote_server.store import Store
from remote_server.store.known_attempts import MOST, KnownAttempt, KnownAttempts
from remote_server.store.ports import Elsewhere, Transaction
from remote_server.store.snapshots import read_attempt
from tests.support.stored import NOW, ended, finish, offered, running, spec, started, submitted

POLICY: Policy = policy_of(spec())


def known_attempt(number: int = 1, job: JobState = JobState.ASSIGNED) -> KnownAttempt:
    snapshot = Snapshot(job, 1, 1, POLICY, False, "", None, "a", AttemptState.OFFERED, None, NOW, 1)
    return KnownAttempt(number, snapshot, "default", "d", 0, None)


async def compared(store: Store) -> int:
    """How many attempts are known, each compared with the database."""

    def compare(tx: Transaction) -> int:
        tx.write_postponed()
        for job, known in tx.known._of.items():
            assert read_attempt(tx, AttemptId(job, known.number)) == known
        return len(tx.known._of)

    return await store._database.write(Elsewhere(compare))


def test_only_the_newest_are_kept_one_of_each_job() -> None:
    known = KnownAttempts()
    for number in range(MOST + 1):
        known.put(str(number), known_attempt())
    assert known.find(AttemptId("0", 1)) is None
    assert known.find(AttemptId("1", 1)) == known_attempt()
    assert known.find(AttemptId("1", 2)) is None, "another attempt of the job"
    known.put("1", known_attempt(2))
    assert known.find(AttemptId("1", 2)) == known_attempt(2)
    known.drop("1")
    known.drop("nothing")
    assert known.find(AttemptId("1", 2)) is None
    known.clear()
    assert known.find(AttemptId("2", 1)) is None


def test_an_attempt_after_it_was_accepted_and_started() -> None:
    given = known_attempt()
    accepted = given.after(Decision(AttemptState.ACCEPTED, JobState.ASSIGNED, ()), NOW + 1)
    assert (accepted.snapshot.attempt, accepted.snapshot.since) == (AttemptState.ACCEPTED, NOW + 1)
    assert accepted.as_usual and accepted.start_can_wait
    start = Decision(AttemptState.RUNNING, JobState.RUNNING, (), started_at=NOW + 2)
    running = accepted.after(start, NOW + 3).snapshot
    assert (running.job, running.started_at, running.since) == (JobState.RUNNING, NOW + 2, NOW + 2)
    assert not known_attempt(job=JobState.RUNNING).as_usual
    assert not known_attempt(number=2).as_usual


async def test_a_job_of_which_all_is_known_is_not_read_again(sqlite_store: Store) -> None:
    said: list[str] = []
    job = await submitted(sqlite_store)
    connection = sqlite_store._database._connection  # type: ignore[attr-defined]
    (lease,) = await sqlite_store.assign([(job, "a")], NOW)
    connection.set_trace_callback(said.append)
    await started(sqlite_store, lease)
    await submitted(sqlite_store)
    await finish(sqlite_store, lease.key)
    connection.set_trace_callback(None)
    assert not [text for text in said if text.startswith("SELECT") and "attempts" in text]
    assert await compared(sqlite_store) == 0, "it has ended"


async def test_whatever_else_writes_makes_it_be_read_again(store: Store) -> None:
    key = await running(store)
    assert await compared(store) == 1
    await store.request_cancel(key.job, "enough", NOW)
    assert await compared(store) == 0
    outcome = await store.record("a", Finished(key, ended(key, None, "cancelled")), NOW + 1)  # type: ignore[arg-type]
    assert outcome.job_state is JobState.CANCELLED


async def test_what_is_undone_is_not_known(store: Store) -> None:
    lease = await offered(store)
    await store.record("a", Accepted(lease.key), NOW)

    def guilty(tx: Transaction) -> None:
        tx.note(lease.key.job, NOW, "nonsense")
        raise ServerError("after it has written")

    started = store.record("a", Running(lease.key, 1, NOW + 1), NOW + 1)
    failed = store._database.write(guilty)
    with pytest.raises(ServerError):
        await failed
    assert (await started).job_state is JobState.RUNNING
    await compared(store)
    await finish(store, lease.key)
    assert (await store.job(lease.key.job)).state is JobState.SUCCEEDED


async def test_a_job_that_came_back_is_known_anew(store: Store) -> None:
    lease = await offered(store)
    await store.record("a", Withdrawn(lease.key, "full", refused=True), NOW + 1)
    assert await compared(store) == 0
    (again,) = await store.assign([(lease.key.job, "b")], NOW + 2)
    assert again.key == lease.key
    assert await compared(store) == 1
    with pytest.raises(Stale, match="held by agent 'b'"):
        await store.record("a", Accepted(lease.key), NOW + 3)


@pytest.mark.parametrize("seed", range(12))
async def test_it_is_what_the_database_has_in_any_order_of_events(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    jobs = [
        await submitted(
            store,
            max_attempts=dice.choice((1, 3)),
            retry_backoff=0,
            on_disconnect={
                "lost_after": 5,
                "on_return": dice.choice(("keep_first", "keep_replacement")),
            },
        )
        for _ in range(4)
    ]

    def key() -> AttemptId:
        return AttemptId(dice.choice(jobs), dice.choice((1, 1, 1, 2)))

    def agent() -> str:
        return dice.choice("aab")

    at = NOW
    steps: list[Callable[[], object]] = [
        lambda: store.assign([(dice.choice(jobs), agent())], at),
        lambda: store.record(agent(), Accepted(key()), at),
        lambda: store.record(agent(), Accepted(key()), at),
        lambda: store.record(agent(), Running(key(), 7, at), at),
        lambda: store.record(agent(), Running(key(), 7, at), at),
        lambda: store.record(agent(), Finished(found := key(), ended(found, 1, at=at)), at),
        lambda: store.record(agent(), Withdrawn(key(), "full", refused=True), at),
        lambda: store.lose(key(), "silent", at),
        lambda: store.request_cancel(dice.choice(jobs), "enough", at),
        lambda: store.release_due(at + 1000),
    ]
    weights = (6, 4, 4, 4, 4, 2, 1, 1, 0.3, 1)
    for _ in range(60):
        at += 1
        chosen = dice.choices(steps, weights, k=dice.choice((1, 1, 2, 3)))
        found = await asyncio.gather(*(step() for step in chosen), return_exceptions=True)  # type: ignore[call-overload]
        assert not [one for one in found if isinstance(one, BaseException) and not _told(one)]
        await compared(store)


def _told(error: BaseException) -> bool:
    return isinstance(error, ServerError)
