"""The things the server talks about. Pure types, shared by all rooms; times are Unix seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Final, NamedTuple

from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.frozen import frozen
from remote_protocol.ids import Role
from remote_protocol.messages import Condition, Platform, Usage
from remote_protocol.spec import JobSpec
from remote_protocol.states import AttemptState, EndReason, JobState


class Principal(NamedTuple):
    """Who writes, and from where: every write of the store carries one."""

    id: str
    """The ULID of the token that the call was made with; empty for the server itself."""
    name: str
    address: str = ""
    """The network address of the client; empty where there is none."""
    kind: str = ""
    """The kind of its token (`api`, `agent`, `registration`), `server`, `command_line`, or empty:
    not known."""

    @property
    def text(self) -> str | None:
        """The stored form; None for the server itself."""
        return f"{self.id} {self.name}" if self.id else None


SYSTEM: Final = Principal("", "server", "", "server")
"""The server itself: its loops, and what it records of its agents' reports."""


class Clock(NamedTuple):
    """The two clocks of the server, given to what must know the time."""

    wall: Callable[[], float]
    """Unix seconds; may jump."""
    boot: Callable[[], float]
    """Seconds that only grow, also while the host sleeps (CLOCK_BOOTTIME): for decisions."""


class Demand(NamedTuple):
    """What a waiting job needs of an agent; jobs with equal demands are interchangeable but for
    their rank, so that the dispatcher reasons about demands and not about jobs."""

    queue: str
    labels: tuple[tuple[str, str], ...]
    weight: float | None
    agent: str | None = None
    """The only agent that gets it."""


@frozen
class Waiting:
    """A queued job as the dispatcher ranks it: higher priority, then smaller id (older)."""

    job: str
    priority: int
    demand: Demand

    def rank(self) -> tuple[int, str]:
        """What comes first has the smaller one."""
        return -self.priority, self.job


@frozen
class Attempt:
    """One attempt of a job (a row)."""

    job: str
    number: int
    agent: str
    state: AttemptState
    offered_at: float
    accepted_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    end_reason: EndReason | None = None
    end_detail: str = ""
    usage: Usage | None = None
    log_size: int = 0
    log_complete: bool = False
    log_checksum: int | None = None
    """CRC-32 of the complete log; None: it is not complete, or older than this column."""

    @property
    def key(self) -> AttemptId:
        """The attempt's key."""
        return AttemptId(self.job, self.number)


class JobOutputs(NamedTuple):
    """What the job of one attempt gave back."""

    values: Mapping[str, str]
    warning: str = ""
    """What of it was left out, and why."""
    artifacts: int = 0
    """How many files it gave back besides."""


NO_OUTPUTS: Final = JobOutputs({})


@frozen
class StoredArtifact:
    """A file that the job of an attempt gives back (a row)."""

    number: int
    name: str
    size: int
    checksum: str
    """SHA-256 in hexadecimal; empty when the host never told."""
    state: ArtifactState
    reason: str = ""
    """Why it has failed, in words."""


@frozen
class ArtifactSet:
    """The artifacts of one attempt."""

    expected: int = 0
    """How many its host has found."""
    warning: str = ""
    """Which of them the host has left out, and why."""
    items: tuple[StoredArtifact, ...] = ()
    """Those that were announced, by number."""


@frozen
class Job:
    """A job (a row)."""

    id: str
    spec: JobSpec
    state: JobState
    created_at: float
    attempt: int = 0
    agent: str | None = None
    exit_code: int | None = None
    end_reason: EndReason | None = None
    end_detail: str | None = None
    cancel_requested_at: float | None = None
    cancel_detail: str = ""
    assigned_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = None
    not_before: float | None = None
    refusals: int = 0
    """How often it came back from agents that it was offered to."""
    refusal: str = ""
    """Why, the last time."""
    usage: Usage | None = None
    log_size: int = 0
    submitted_by: Principal | None = None
    group: str | None = None
    """The group that it is a member of."""
    abridged: tuple[str, ...] = ()
    """Fields of the specification that a list has cut."""


@frozen
class Lease:
    """What the protocol mirror must know of an attempt that an agent may still hold."""

    key: AttemptId
    agent: str
    state: AttemptState
    queue: str
    weight: float | None
    spec: JobSpec
    cancel_requested: bool = False
    """Its end is wished for."""
    cancel_reason: EndReason = EndReason.CANCELLED
    """`timeout` when the server enforces that, and nobody had cancelled the job before."""
    cancel_detail: str = ""
    may_return: bool = False
    """The attempt was given up as lost, but by the job's policy its return is welcome."""
    text: str | None = field(default=None, compare=False, repr=False)
    """The specification as it is offered, where it is at hand."""


@frozen
class LiveLease:
    """What the sweeper must know of an attempt that an agent holds."""

    key: AttemptId
    agent: str
    state: AttemptState
    lost_after: float
    timeout: float | None
    grace_period: float
    cancel_requested: bool
    overdue: bool = False
    """Its timeout is being enforced."""


@frozen
class Outcome:
    """What a report about an attempt changed."""

    job_state: JobState


@frozen
class QueueLoad:
    """How busy a queue is."""

    queued: int = 0
    running: int = 0
    """Jobs that an agent holds."""
    oldest: float | None = None
    """When the oldest waiting job was submitted."""


@frozen
class Agent:
    """A registered agent (a row)."""

    name: str
    queues: tuple[str, ...]
    labels: dict[str, str]
    capacity: dict[str, int]
    registered_at: float
    paused: bool = False
    pause_comment: str = ""
    draining: bool = False
    drain_deadline_at: float | None = None
    ephemeral: bool = False
    fingerprint: str = ""
    allowed_queues: tuple[str, ...] = ()
    """Queues that the host may choose from (`domain.enrolment`)."""
    allowed_labels: dict[str, str] = field(default_factory=dict)
    """Labels that the host may have."""
    allowed_capacity: dict[str, int] = field(default_factory=dict)
    """Capacity classes that the host may have, and their sizes at the most."""
    server_labels: dict[str, str] = field(default_factory=dict)
    """Labels that its registration token gave: the host can neither set nor change them."""
    announced: str = ""
    """The host's own settings as last announced (canonical JSON): they are applied only when
    they change, so that an operator's edit survives the agent's restart."""
    version: str = ""
    platform: Platform = field(default_factory=Platform)
    boot_id: str = ""
    address: str = ""
    epoch: int = 0
    connected_at: float | None = None
    last_seen_at: float | None = None
    condition: Condition = field(default_factory=Condition)
    installation: str | None = None
    """Which installation of the agent held the name last; None: it did not say."""
    process: str = ""
    """The process of its last hello; empty: it did not say."""
    restart_requested_at: float | None = None
    """When an operator asked for another one; None: nobody has, or it is here."""


@frozen
class Queue:
    """A queue (a row)."""

    name: str
    description: str
    paused: bool
    created_at: float
    log_retention: float | None = None
    log_max_total: int | None = None
    job_retention: float | None = None
    """Seconds that ended jobs are kept; None: as the server's configuration says."""
    default: bool = False
    """Whether jobs that name no queue go there; exactly one queue has it."""


class OldJob(NamedTuple):
    """A job that ended long ago, with its attempts: each may have a log."""

    id: str
    attempts: tuple[AttemptId, ...]


@frozen
class Token:
    """A token (a row); only its hash is ever stored."""

    id: str
    kind: str
    """`registration`, `agent` or `api`."""
    name: str
    created_at: float
    role: Role | None = None
    agent: str | None = None
    queues: tuple[str, ...] = ()
    """Queues that it covers; `*`: all. Of an API token: those that it is limited to; none: all."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels that it gives to agents."""
    allow_replace: bool = False
    """Whether a host may take over another one's name with it."""
    uses_left: int | None = None
    expires_at: float | None = None
    last_used_at: float | None = None
    revoked: bool = False
    owner: str | None = None
    """The id of the token that it ends with: of the person for whom a program got it."""

    @property
    def limited(self) -> bool:
        """Whether it is an API token that is limited to its queues."""
        return self.kind == "api" and bool(self.queues)

    @property
    def principal(self) -> Principal:
        """Its bearer."""
        return Principal(self.id, self.name, "", self.kind)

    def used_from(self, address: str) -> Principal:
        """Its bearer, at this network address."""
        return Principal(self.id, self.name, address, self.kind)


@frozen
class Session:
    """A browser that signed in with an API token (a row); of its secret only the hash is stored."""

    hash: str
    token: str
    """The id of the token: the session may do what it may, and ends with it."""
    created_at: float
    used_at: float
    expires_at: float
    """When it ends, however much it is used."""


@frozen
class TimelineEvent:
    """One timeline entry (a row)."""

    seq: int
    job: str
    at: float
    what: str
    state: JobState | None
    attempt: int
    agent: str | None
    source: str
    detail: str
    by: Principal | None = None


@frozen
class StateChange(TimelineEvent):
    """A timeline entry that changed its job's state, with what readers of events want to know of
    the job without asking for it."""

    queue: str = ""
    exit_code: int | None = None
    """Of a job that has ended; so is the reason."""
    end_reason: EndReason | None = None
    idempotency_key: str | None = None
