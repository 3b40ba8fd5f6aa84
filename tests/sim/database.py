"""A simulated database and log store: what survives a crash of the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from remote_protocol.attempt_id import AttemptId
from remote_protocol.spec import JobSpec
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.decisions import Snapshot, decide
from remote_server.domain.demand import policy_of
from remote_server.domain.events import Change, Finished
from remote_server.domain.model import Lease
from remote_server.errors import Stale
from remote_server.store.restoration import NO_MORE_TRIES
from tests.sim.inputs import SentInput

RAN = {AttemptState.ACCEPTED, AttemptState.RUNNING, AttemptState.ENDED, AttemptState.LOST}


@dataclass
class JobRow:
    spec: JobSpec
    state: JobState = JobState.QUEUED
    attempt: int = 0
    cancelled: bool = False
    reason: str = ""
    not_before: float = 0.0


@dataclass
class AttemptRow:
    agent: str
    state: AttemptState
    offered_at: float
    started_at: float | None = None
    finished: bool = False


@dataclass
class Database:
    """Rows and files. Every method is one operation of a transaction."""

    finished: Callable[[str, Finished], None]
    jobs: dict[str, JobRow] = field(default_factory=dict)
    attempts: dict[AttemptId, AttemptRow] = field(default_factory=dict)
    logs: dict[AttemptId, bytearray] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    """Highest numbers that a former life may have given, of jobs that may run after an older copy
    was restored."""
    marked: set[str] = field(default_factory=set)
    """Jobs of which nobody knows what happened since the copy was made: nothing of them is started
    again."""
    lives: int = 1
    confirmed: set[AttemptId] = field(default_factory=set)
    """Attempts that were ever confirmed, in any life."""
    inputs: dict[str, SentInput] = field(default_factory=dict)
    """Files beside the database: no restoration takes them back."""

    def copy(self) -> Database:
        """What a backup holds."""
        jobs = {job: replace(row) for job, row in self.jobs.items()}
        attempts = {key: replace(row) for key, row in self.attempts.items()}
        logs = {key: bytearray(log) for key, log in self.logs.items()}
        skipped, marked = dict(self.skipped), set(self.marked)
        return Database(self.finished, jobs, attempts, logs, skipped, marked)

    def restore(self, backup: Database, run: bool) -> None:
        """Forget what happened since; the logs are those of the backup, or the newer ones. `run`:
        jobs that waited may run."""
        older = backup.copy()
        self.jobs, self.attempts = older.jobs, older.attempts
        self.skipped, self.marked = older.skipped, older.marked
        self.lives += 1
        for key, row in self.attempts.items():
            if row.state is AttemptState.OFFERED:
                row.state = AttemptState.WITHDRAWN
                job = self.jobs[key.job]
                job.state, job.attempt = JobState.QUEUED, key.number - 1
            elif row.state is AttemptState.ACCEPTED and not run:
                row.state = AttemptState.RUNNING
        for name, job in self.jobs.items():
            if job.state.terminal:
                continue
            if job.state is JobState.QUEUED and job.cancelled:
                job.state, job.reason = JobState.CANCELLED, "cancelled"
            elif run:
                self.skipped[name] = 1000 * self.lives
                continue
            elif job.state is JobState.QUEUED:
                job.state, job.reason = JobState.FAILED, "lost"
            else:
                job.state = JobState.RUNNING
            self.marked.add(name)

    def of_former_life(self, key: AttemptId) -> bool:
        """Whether a former life may have given an attempt."""
        return key.job in self.marked or key.number <= self.skipped.get(key.job, 0)

    def is_left_alone(self, key: AttemptId) -> bool:
        """Whether an attempt that its agent does not hold runs to its end without a record."""
        job = self.jobs.get(key.job)
        if job is None:
            return True
        if key.job not in self.marked or job.cancelled:
            return False
        return key.number > self._used(key.job) or job.reason == "lost"

    def _ran(self, job: str) -> set[int]:
        rows = self.attempts.items()
        return {key.number for key, row in rows if key.job == job and row.state in RAN}

    def _used(self, job: str) -> int:
        return max(self._ran(job) | {self.skipped.get(job, 0)})

    def assign(self, job: str, agent: str, now: float) -> Lease | None:
        row = self.jobs[job]
        if row.state is not JobState.QUEUED or row.cancelled or row.not_before > now:
            return None
        key = AttemptId(job, self._used(job) + 1)
        row.state, row.attempt = JobState.ASSIGNED, key.number
        self.attempts[key] = AttemptRow(agent, AttemptState.OFFERED, now)
        return self.lease(key)

    def lease(self, key: AttemptId) -> Lease:
        row, job = self.attempts[key], self.jobs[key.job]
        back = policy_of(job.spec).keep_first and not job.state.terminal
        return Lease(
            key,
            row.agent,
            row.state,
            "default",
            None,
            job.spec,
            row.offered_at,
            cancel_requested=job.cancelled and not job.state.terminal,
            may_return=row.state is AttemptState.LOST and back,
        )

    def leases_of(self, agent: str, inventory: set[AttemptId]) -> dict[AttemptId, Lease]:
        found = {}
        for key, row in self.attempts.items():
            if row.agent == agent and (row.state.live or key in inventory):
                lease = self.lease(key)
                if row.state.live or lease.may_return:
                    found[key] = lease
        return found

    def ended_of(self, agent: str, inventory: set[AttemptId]) -> frozenset[AttemptId]:
        rows = ((key, self.attempts.get(key)) for key in inventory)
        return frozenset(k for k, row in rows if row and row.agent == agent and row.finished)

    def cancel(self, job: str) -> AttemptId | None:
        row = self.jobs[job]
        if row.state.terminal or row.cancelled:
            return None
        row.cancelled = True
        if row.state is JobState.QUEUED:
            row.state, row.reason = JobState.CANCELLED, "cancelled"
            return None
        return AttemptId(job, row.attempt)

    def record(self, agent: str, change: Change, now: float) -> list[tuple[str, AttemptId]]:
        """Write a change; gives leases of other agents that it took. Raises Stale."""
        key = change.key
        if key not in self.attempts:
            raise Stale(f"there is no attempt {key}")
        row, job = self.attempts[key], self.jobs[key.job]
        ran = self._ran(key.job) | {key.number}
        snapshot = Snapshot(
            job=job.state,
            current=job.attempt,
            used=max(self._used(key.job), key.number),
            policy=policy_of(job.spec),
            cancelled=job.cancelled,
            cancel_detail="",
            expires_at=None,
            agent=row.agent,
            attempt=row.state,
            started_at=row.started_at,
            since=row.offered_at,
            tries=NO_MORE_TRIES if key.job in self.marked else len(ran),
        )
        result = decide(key, agent, snapshot, change, now)
        if result is None:
            return []
        taken = []
        if result.supersedes:
            other = AttemptId(key.job, job.attempt)
            rival = self.attempts[other]
            offered = rival.state is AttemptState.OFFERED
            rival.state = AttemptState.WITHDRAWN if offered else AttemptState.LOST
            taken.append((rival.agent, other))
        if isinstance(change, Finished):
            row.finished = True
            self.finished(agent, change)
        assert not job.state.terminal or job.state is result.job
        row.state, job.state = result.attempt, result.job
        if result.started_at is not None:
            row.started_at = result.started_at
        if result.attempt.live:
            job.attempt = key.number
        if result.job_end is not None:
            job.reason = str(result.job_end.reason)
        if result.not_before is not None:
            job.not_before = result.not_before
        return taken
