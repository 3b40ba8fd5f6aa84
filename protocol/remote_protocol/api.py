"""The bodies of the HTTP API under `/api/v1`: what server and clients exchange as JSON. Pure.

Times are RFC 3339 in UTC. Everything that is printed with `--output json` is one of these.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import ConfigDict, Field

from remote_protocol.api_tokens import (
    RegistrationTokenCreate,
    TokenCreate,
    TokenCreated,
    TokenView,
)
from remote_protocol.bodies import Body, View
from remote_protocol.ids import JobId, Labels, Name
from remote_protocol.limits import MAX_BATCH_JOBS
from remote_protocol.parts import (
    Assignment,
    Capacity,
    Condition,
    Platform,
    Queues,
    Settings,
    Text,
    Usage,
    Word,
)
from remote_protocol.quantities import Duration, Size
from remote_protocol.spec import JobSpec
from remote_protocol.states import AgentState, AttemptState, EndReason, JobState

__all__ = [
    "Actor",
    "AgentChange",
    "AgentDrain",
    "AgentPause",
    "AgentToken",
    "AgentView",
    "AttemptView",
    "Body",
    "Cancellation",
    "InputView",
    "JobBatch",
    "JobBatchCreated",
    "JobView",
    "LogRecord",
    "Nothing",
    "Page",
    "Problem",
    "QueueChange",
    "QueueCreate",
    "QueueView",
    "Registered",
    "Registration",
    "RegistrationTokenCreate",
    "TimelineEntry",
    "TokenCreate",
    "TokenCreated",
    "TokenView",
    "VersionView",
    "View",
]

Item = TypeVar("Item")


class Problem(View):
    """An error, as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str
    """Stable name of the error (`errors.ErrorCode`)."""
    errors: list[dict[str, str]] = Field(default_factory=list)
    """For `validation`: every fault at once, `{"field": …, "message": …}`."""


class Page(View, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = None
    """Give it as `cursor` to get the next page; null on the last one."""


# Jobs ----------------------------------------------------------------------------------------


class JobBatch(Body):
    """Many jobs in one transaction."""

    jobs: list[JobSpec] = Field(min_length=1, max_length=MAX_BATCH_JOBS)


class Actor(View):
    """Who did something: the API token that it was done with."""

    id: JobId
    """The token's id."""
    name: str
    """Its name."""


class AttemptView(View):
    """One attempt of a job."""

    number: int
    state: AttemptState
    agent: str
    offered_at: datetime
    accepted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    end_reason: EndReason | None = None
    end_detail: str = ""
    usage: Usage | None = None
    log_size: int = 0
    log_complete: bool = False
    """Whether size and checksum of the log agree with what the agent reported."""
    log_checksum: int | None = None
    """CRC-32 of the complete log as it is stored (`Accept: application/vnd.cri-log`)."""


class InputView(View):
    """How far the input of a job has come."""

    size: int
    """Bytes that the server has."""
    state: Literal["open", "ended"]
    """`ended`: those are all."""
    ttl: float | None = None
    """Seconds of silence after which the job is cancelled, while its input is open."""


class JobView(JobSpec):
    """A job as shown: its specification and what became of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: JobId
    state: JobState
    pending_reason: str | None = None
    """Why it waits, in words, while it is queued."""
    attention: str | None = None
    """What is the matter with it while an agent holds it, as that the agent is offline. Filled by
    `GET /jobs/{id}`."""
    attempt: int = 0
    """Number of the current or last attempt; 0 before the first."""
    agent: str | None = None
    """Who holds it, or held it last."""
    wanted_agent: str | None = None
    """The only agent that gets it: the specification's `agent`."""
    exit_code: int | None = None
    end_reason: EndReason | None = None
    end_detail: str | None = None
    cancel_requested: bool = False
    created_at: datetime
    assigned_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    not_before: datetime | None = None
    """A retry waits until then."""
    usage: Usage | None = None
    log_size: int = 0
    submitted_by: Actor | None = None
    input: InputView | None = None
    """The input of a job that takes one, while it is kept: until the job has ended."""
    attempts: list[AttemptView] = Field(default_factory=list)
    """Filled by `GET /jobs/{id}`, empty in lists."""
    abridged: list[str] = Field(default_factory=list)
    """Fields of which a list shows an excerpt only, or nothing: a long command, script or
    environment, and files. `GET /jobs/{id}` has them whole."""


class JobBatchCreated(View):
    """Answer to a batch: the ids, in the order of the jobs."""

    ids: list[JobId]


class TimelineEntry(View):
    """One thing that happened to a job."""

    seq: int
    """Grows over all jobs; `GET /events?after=` resumes behind it."""
    job: JobId
    at: datetime
    what: str
    """`queued assigned accepted started first_output interrupt kill ended …`"""
    state: JobState | None = None
    """The job's state from then on, when this changed it."""
    attempt: int = 0
    agent: str | None = None
    source: Literal["server", "agent"] = "server"
    detail: str = ""
    by: Actor | None = None
    """Who asked for it."""


class LogRecord(View):
    """One record of a log as `application/x-ndjson` or SSE."""

    offset: int
    """Position in the stored log behind this record: resume there."""
    time: str
    stream: Literal["stdout", "stderr"]
    text: str | None = None
    data_base64: str | None = None
    """Instead of `text` when the bytes are not UTF-8."""


class Nothing(Body):
    """The body of a call that takes none: it may be left out."""


class Cancellation(Body):
    """Why a job is cancelled; optional."""

    reason: Text = ""


# Agents --------------------------------------------------------------------------------------


class Registration(Body):
    """What `remote-agent register` sends, with a registration or agent token as bearer."""

    name: Name
    settings: Settings = Settings()
    replace: bool = False
    """Take over a name that another host holds."""
    ephemeral: bool = False
    """Delete the agent when it ends."""
    agent_version: Word = ""
    platform: Platform = Platform()
    fingerprint: Word = ""
    """Random text made once by the host: tells the same host again from another one."""


class Registered(View):
    """Answer to a registration."""

    name: Name
    token: str | None = None
    """The agent's own token; null when it registered with its own and keeps it."""
    assignment: Assignment
    changed: bool = True
    """False when these settings were known already."""


class AgentView(View):
    """An agent as operators see it."""

    name: Name
    state: AgentState
    queues: list[str]
    labels: dict[str, str] = Field(default_factory=dict)
    capacity: Capacity
    running: int = 0
    """Attempts it holds now."""
    jobs: list[JobId] = Field(default_factory=list)
    """Those attempts' jobs, at most 100."""
    condition: Condition = Condition()
    paused: bool = False
    pause_comment: str = ""
    draining: bool = False
    ephemeral: bool = False
    version: str = ""
    platform: Platform = Platform()
    boot_id: str = ""
    address: str = ""
    spool_bytes: int = 0
    registered_at: datetime
    connected_at: datetime | None = None
    last_seen_at: datetime | None = None
    warning: str = ""


class AgentChange(Body):
    """`PATCH /agents/{name}`: fields that are left out stay."""

    queues: Annotated[Queues, Field(min_length=1)] | None = None
    labels: Labels | None = None
    capacity: Capacity | None = None


class AgentPause(Body):
    """`POST /agents/{name}/pause`."""

    comment: Text = ""


class AgentDrain(Body):
    """`POST /agents/{name}/drain`."""

    deadline: Duration | None = None
    """Seconds after which jobs that still run are cancelled; null: never."""


class AgentToken(View):
    """Answer to `POST /agents/{name}/rotate-token`."""

    name: Name
    token: str


# Queues --------------------------------------------------------------------------------------


class QueueCreate(Body):
    """`POST /queues`."""

    name: Name
    description: Text = ""
    log_retention: Duration | None = None
    """Seconds that logs of ended jobs are kept; null: for ever."""
    log_max_total: Size | None = None
    """Bytes of logs of ended jobs that are kept; the oldest go first."""
    job_retention: Duration | None = None
    """Seconds that ended jobs are kept, with timeline and logs; null: as the server says."""


class QueueChange(Body):
    """`PATCH /queues/{name}`: fields that are left out stay."""

    description: Text | None = None
    paused: bool | None = None
    log_retention: Duration | None = None
    log_max_total: Size | None = None
    job_retention: Duration | None = None


class QueueView(View):
    """A queue with its present load."""

    name: Name
    description: str = ""
    paused: bool = False
    healthy: bool = False
    """Whether at least one agent that serves it is online."""
    queued: int = 0
    running: int = 0
    oldest_seconds: float | None = None
    """Age of the oldest job that waits."""
    agents: list[str] = Field(default_factory=list)
    agents_online: int = 0
    log_retention: float | None = None
    log_max_total: int | None = None
    job_retention: float | None = None
    created_at: datetime


class VersionView(View):
    """`GET /version`."""

    product: Literal["remote-server"] = "remote-server"
    version: str
    protocol: int
    """Version of the agent protocol that it speaks."""
    api: str = "v1"
