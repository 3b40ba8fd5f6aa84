"""The last hours, minute by minute."""

from __future__ import annotations

from remote_protocol.states import EndReason, JobState
from remote_server.domain.change_set import ChangeSet
from remote_server.queries.history import KEPT, History, Minute
from remote_server.store import Store
from tests.support.stored import NOW, finish, running, submitted


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def change(ends: int, failed: int, queued: int) -> ChangeSet:
    return ChangeSet(
        state_counts={("q", "queued"): queued, ("q", "running"): 3},
        end_counts={("q", EndReason.EXIT.value): ends},
        failures={"q": failed - 1, "r": 1} if failed else {},
    )


def test_commits_are_counted_in_their_minute() -> None:
    clock = Clock()
    history = History(clock)
    history.committed(change(3, 1, 5))
    history.committed(change(1, 0, -2))
    history.committed(ChangeSet(queued=True))
    clock.now += 120
    history.committed(change(2, 2, 0))
    assert history.since == NOW
    assert history.last(4) == [Minute(), Minute(4, 1, 3), Minute(), Minute(2, 2, 0)]


def test_old_minutes_are_forgotten() -> None:
    clock = Clock()
    history = History(clock)
    for _ in range(KEPT + 10):
        history.committed(change(1, 0, 0))
        clock.now += 60
    assert len(history._minutes) == KEPT


async def test_real_commits_tell_ends_and_failures(store: Store) -> None:
    clock = Clock()
    history = History(clock)
    store.on_commit(history.committed)
    await submitted(store)
    await finish(store, await running(store), 0)
    await finish(store, await running(store), 3)
    (minute,) = history.last(1)
    assert (minute.ended, minute.failed, minute.queued) == (2, 1, 1)
    counts = await store.counts()
    assert counts["default", JobState.FAILED] == 1
