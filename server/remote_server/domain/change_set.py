"""What one commit changed: the store publishes it, and whoever depends on it reads again. Pure.

Nobody is called after a write: dispatcher, sweeper, hub, authenticator and followers subscribe to
the change sets. They name rows and carry no rows, so that several servers can share them later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason

K = TypeVar("K")


class Submitted(NamedTuple):
    """A job was submitted."""

    job: str
    created_at: float
    """Unix seconds."""
    traceparent: str | None
    """The trace that it continues, if it does."""


class Cancel(NamedTuple):
    """An agent must end an attempt: somebody asked for it."""

    agent: str
    reason: EndReason
    detail: str


class Held(NamedTuple):
    """A member of a group that waits until the group and its agent let it start."""

    job: str
    not_before: float | None = None
    """Its next attempt is made then at the earliest (Unix seconds)."""


class GroupNews(NamedTuple):
    """What a commit left of a group."""

    room: int | None
    """How many more members may start; None: as many as wait."""
    waiting: bool
    """Some members have not started."""
    stopped: bool
    """No other member is started."""


@dataclass(slots=True)
class ChangeSet:
    """What one commit changed. Operations on the database fill it in; afterwards nobody does."""

    jobs: set[str] = field(default_factory=set)
    """Jobs with new timeline events."""
    ended: set[str] = field(default_factory=set)
    """Those of them that ended."""
    submitted: list[Submitted] = field(default_factory=list)
    """New jobs."""
    started: list[tuple[str, float, str]] = field(default_factory=list)
    """First attempts that started: the job, when (Unix seconds), and the queue."""
    queued: bool = False
    """The dispatcher may have something to do: a job waits (again), or a queue was resumed."""
    deferred_until: float | None = None
    """When the first of the jobs that now wait for their next attempt's time may be assigned."""
    ready_counts: dict[str, int] = field(default_factory=dict)
    """How the number of jobs ready to be assigned changed, for each demand's stored text."""
    state_counts: dict[tuple[str, str], int] = field(default_factory=dict)
    """How the number of jobs changed, for each queue and state."""
    end_counts: dict[tuple[str, str], int] = field(default_factory=dict)
    """How many jobs ended, for each queue and end reason."""
    failures: dict[str, int] = field(default_factory=dict)
    """How many jobs failed, for each queue."""
    cancels: dict[AttemptId, Cancel] = field(default_factory=dict)
    """Attempts that an agent holds and whose job somebody wants to end, asked for again or not."""
    given_up: dict[AttemptId, tuple[str, str]] = field(default_factory=dict)
    """Leases that the server gave up: whose, and why. Their agents must kill what they have. It is
    told here and not by whoever wrote it, so that no hello that was answered since is meant."""
    groups: dict[str, GroupNews] = field(default_factory=dict)
    """Groups that are new, or of which a member changed its state."""
    held: dict[tuple[str, str], Held | None] = field(default_factory=dict)
    """Members, by group and agent, that wait now; None: that do not any more."""
    stopping: set[str] = field(default_factory=set)
    """Groups that were stopped, and have members which have to be ended."""
    agents: set[str] = field(default_factory=set)
    """Agents that were registered, or whose assignment or desired state was changed."""
    removed_agents: dict[str, str] = field(default_factory=dict)
    """Agents that were deleted, or whose name another host took over: why. What the former host
    runs is nobody's any more, and must not go on there (I2)."""
    queues: set[str] = field(default_factory=set)
    """Queues that were created, changed or deleted."""
    tokens: set[str] = field(default_factory=set)
    """Ids of tokens that were created, changed or revoked."""
    revoked: dict[str, str] = field(default_factory=dict)
    """Those of them that hold no more: why."""
    sessions: set[str] = field(default_factory=set)
    """Sessions of browsers that ended, by the hashes of their secrets."""
    seconds: float = 0.0
    """How long the transaction took, its commit included."""
    webhooks: set[str] = field(default_factory=set)
    """Names of webhooks that were created, changed or deleted, or that have a new message."""
    webhook_counts: dict[str, int] = field(default_factory=dict)
    """How many of their messages were delivered, put off, failed or dropped."""
    audited: bool = False
    """The audit has new entries."""

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(
            self.jobs
            or self.queued
            or self.tokens
            or self.sessions
            or self.agents
            or self.removed_agents
            or self.queues
            or self.cancels
            or self.given_up
            or self.ready_counts
            or self.state_counts
            or self.webhooks
            or self.webhook_counts
            or self.groups
            or self.audited
        )

    def defer(self, until: float) -> None:
        """A job waits until then (Unix seconds); the dispatcher must hear of it, to be awake."""
        known = self.deferred_until
        self.deferred_until = until if known is None else min(known, until)
        self.queued = True

    def merge(self, other: ChangeSet) -> None:
        """Add what a later operation of the same commit changed."""
        for mine, theirs in (
            (self.jobs, other.jobs),
            (self.ended, other.ended),
            (self.agents, other.agents),
            (self.queues, other.queues),
            (self.tokens, other.tokens),
            (self.sessions, other.sessions),
            (self.webhooks, other.webhooks),
            (self.stopping, other.stopping),
        ):
            mine |= theirs
        self.submitted += other.submitted
        self.started += other.started
        self.queued |= other.queued
        if other.deferred_until is not None:
            self.defer(other.deferred_until)
        add_counts(self.ready_counts, other.ready_counts)
        add_counts(self.state_counts, other.state_counts)
        add_counts(self.end_counts, other.end_counts)
        add_counts(self.failures, other.failures)
        add_counts(self.webhook_counts, other.webhook_counts)
        self.cancels |= other.cancels
        self.groups |= other.groups
        self.held |= other.held
        self.given_up |= other.given_up
        self.removed_agents |= other.removed_agents
        self.revoked |= other.revoked
        self.audited |= other.audited


def add_counts(counts: dict[K, int], changes: dict[K, int]) -> None:
    """Add changes to counts."""
    for name, change in changes.items():
        counts[name] = counts.get(name, 0) + change
