"""A simulated database and log store: what survives a crash of the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from remote_protocol.attempt_id import AttemptId
from remote_protocol.spec import JobSpec
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.decisions import Snapshot, decide
from remote_server.domain.demand import policy_of
from remote_server.domain.events import Change, Finished, Recovered
from remote_server.domain.model import Lease
from remote_server.errors import Stale
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
    floor: dict[str, int] = field(default_factory=dict)
    """Highest numbers that a former life may have given, of jobs that were open when an older
    copy was restored."""
    hold_until: float = 0.0
    lives: int = 1
    inputs: dict[str, SentInput] = field(default_factory=dict)
    """Files beside the database: no restoration takes them back."""

    def copy(self) -> Database:
        """What a backup holds."""
        jobs = {job: replace(row) for job, row in self.jobs.items()}
        attempts = {key: replace(row) for key, row in self.attempts.items()}
        logs = {key: bytearray(log) for key, log in self.logs.items()}
        return Database(self.finished, jobs, attempts, logs, dict(self.floor))

    def restore(self, backup: Database, now: float, grace: float) -> None:
        """Forget what happened since; the logs are those of the backup, or the newer ones."""
        older = backup.copy()
        self.jobs, self.attempts, self.floor = older.jobs, older.attempts, older.floor
        self.lives += 1
        self.hold_until = now + grace
        for key, row in self.attempts.items():
            if row.state is AttemptState.OFFERED:
                row.state = AttemptState.WITHDRAWN
                job_row = self.jobs[key.job]
                job_row.state, job_row.attempt = JobState.QUEUED, key.number - 1
                if job_row.cancelled:
                    job_row.state, job_row.reason = JobState.CANCELLED, "cancelled"
        for job, open_job in self.jobs.items():
            if not open_job.state.terminal:
                self.floor[job] = 1000 * self.lives
                open_job.not_before = max(open_job.not_before, self.hold_until)

    def unknown(self, key: AttemptId) -> bool:
        """Whether an attempt of a former life may be taken in."""
        job, row = self.jobs.get(key.job), self.attempts.get(key)
        if job is None or job.state.terminal or (row and row.state is not AttemptState.WITHDRAWN):
            return False
        return job.attempt < key.number <= self.floor.get(key.job, 0)

    def asks(self) -> bool:
        """Whether agents may know more."""
        return any(not self.jobs[job].state.terminal for job in self.floor)

    def _ran(self, job: str) -> set[int]:
        rows = self.attempts.items()
        return {key.number for key, row in rows if key.job == job and row.state in RAN}

    def _used(self, job: str) -> int:
        return max(self._ran(job) | {self.floor.get(job, 0)})

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
            before_restore=key.number <= self.floor.get(key.job, 0),
        )

    def leases_of(self, agent: str, inventory: set[AttemptId]) -> dict[AttemptId, Lease]:
        found = {}
        for key, row in self.attempts.items():
            if row.agent == agent and (row.state.live or key in inventory):
                lease = self.lease(key)
                if row.state.live or lease.may_return:
                    found[key] = lease
        for key in inventory:
            if key not in found and self.unknown(key):
                spec = self.jobs[key.job].spec
                found[key] = Lease(
                    key,
                    agent,
                    AttemptState.LOST,
                    "default",
                    None,
                    spec,
                    0.0,
                    cancel_requested=self.jobs[key.job].cancelled,
                    may_return=True,
                    unknown=True,
                    before_restore=True,
                )
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
        if isinstance(change, Recovered) and self.unknown(key):
            self.attempts[key] = AttemptRow(agent, AttemptState.LOST, now)
        if key not in self.attempts:
            raise Stale(f"there is no attempt {key}")
        row, job = self.attempts[key], self.jobs[key.job]
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
            tries=len(self._ran(key.job) | {key.number}),
            floor=self.floor.get(key.job, 0),
            hold_until=self.hold_until if key.job in self.floor else None,
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
