"""Attempts that agents hold, as the transactions so far have left them: a report about one of them
need not read it again. No I/O.

What is known here is what the database has, by construction: nobody else writes, transactions come
one after another, only `Report`s leave it standing, and whatever is undone, or may be, clears it.
"""

from __future__ import annotations

from typing import Final

from remote_protocol.attempt_id import AttemptId
from remote_protocol.frozen import frozen
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.decisions import Decision, Snapshot

MOST: Final = 4096
"""Attempts that are known at the same time, the newest ones; others are read."""


@frozen
class KnownAttempt:
    """One attempt, and what is needed of its job beside the snapshot."""

    number: int
    snapshot: Snapshot
    queue: str
    demand: str
    deferred: int
    group_id: str | None

    @property
    def as_usual(self) -> bool:
        """Whether it is the job's present attempt, which was given and has not started."""
        snapshot = self.snapshot
        return snapshot.job is JobState.ASSIGNED and snapshot.current == self.number

    @property
    def start_can_wait(self) -> bool:
        """Whether its start leaves nothing behind that its end would not write: it was given as
        usual, has not started before, and no time is to be cleared or group told."""
        snapshot = self.snapshot
        return (
            self.as_usual
            and snapshot.started_at is None
            and snapshot.expires_at is None
            and not (self.deferred or self.group_id)
        )

    def after(self, found: Decision, now: float) -> KnownAttempt:
        """The same, given as usual, once it was accepted or has started."""
        was = self.snapshot
        starts = found.attempt is AttemptState.RUNNING
        started_at = found.started_at if starts else was.started_at
        # Not `replace`, which costs more than all that is written about a start.
        snapshot = Snapshot(
            found.job,
            was.current,
            was.used,
            was.policy,
            was.cancelled,
            was.cancel_detail,
            None if starts else was.expires_at,
            was.agent,
            found.attempt,
            started_at,
            now if started_at is None else started_at,
            was.tries,
            was.refusals,
        )
        deferred = 0 if starts else self.deferred
        return KnownAttempt(self.number, snapshot, self.queue, self.demand, deferred, self.group_id)


class KnownAttempts:
    """One attempt of each job at the most. Used by whoever carries out transactions."""

    __slots__ = ("_of", "queues")

    def __init__(self) -> None:
        self._of: dict[str, KnownAttempt] = {}
        self.queues: set[str] = set()
        """Names of queues that there are: only what clears all this removes one."""

    def find(self, key: AttemptId) -> KnownAttempt | None:
        """An attempt, if it is known."""
        found = self._of.get(key.job)
        return found if found is not None and found.number == key.number else None

    def put(self, job: str, known: KnownAttempt) -> None:
        """A transaction leaves an attempt of this job so."""
        self._of[job] = known
        if len(self._of) > MOST:
            del self._of[next(iter(self._of))]

    def drop(self, job: str) -> None:
        """Read the next time what there is of this job."""
        self._of.pop(job, None)

    def clear(self) -> None:
        """Nothing is known: something else has written, or what was written is undone."""
        self._of.clear()
        self.queues.clear()
