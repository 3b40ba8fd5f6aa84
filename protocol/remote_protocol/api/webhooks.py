"""Bodies of the calls about webhooks, and the messages that webhooks send. Pure.

A message says what happened to which job, agent or queue, and nothing of commands, environments or
output: those may hold secrets, and receivers are elsewhere.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter

from remote_protocol.api.bodies import Body, View
from remote_protocol.defaults import empty_list
from remote_protocol.ids import WITHOUT_NUL, JobId, Name
from remote_protocol.limits import MAX_NAME, MAX_REASONS
from remote_protocol.parts import Queues
from remote_protocol.quantities import Duration
from remote_protocol.states import EndReason, JobState
from remote_protocol.urls import receiver_url

VERSION: Literal[1] = 1
"""Of the messages' form: a field may be added to it, none removed or changed."""
_MOST_EVENTS = 16


class WebhookEvent(StrEnum):
    """What a webhook can tell."""

    JOB_ENDED = "job.ended"
    AGENT_OFFLINE = "agent.offline"
    AGENT_ONLINE = "agent.online"
    QUEUE_UNSERVED = "queue.unserved"
    """No agent that serves the queue is online."""
    QUEUE_SERVED = "queue.served"
    """One is again."""


TEST = "webhook.test"
"""The type of the message of a test."""


class DeliveryState(StrEnum):
    """What became of a message."""

    PENDING = "pending"
    """It waits for its first attempt, or for the next."""
    DELIVERED = "delivered"
    """The receiver has answered with 2xx."""
    FAILED = "failed"
    """It is tried no more."""


Url = Annotated[str, Field(max_length=2048), AfterValidator(receiver_url)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME), WITHOUT_NUL]
"""A name with `*` for any text, `?` for a character, `[ab]` for one of some."""
Events = Annotated[list[WebhookEvent], Field(min_length=1, max_length=_MOST_EVENTS)]


def _terminal(state: JobState) -> JobState:
    if not state.terminal:
        raise ValueError("must be one in which jobs end: succeeded, failed, cancelled")
    return state


States = Annotated[
    list[Annotated[JobState, AfterValidator(_terminal)]], Field(max_length=_MOST_EVENTS)
]
Reasons = Annotated[list[EndReason], Field(max_length=MAX_REASONS)]


class WebhookRule(Body):
    """What a webhook tells: events, and which of them. What is left out does not matter."""

    events: Events
    queues: Queues = Field(default_factory=empty_list)
    """Of a job: its queue is one of these; of an agent: it serves one of these."""
    job_name: Pattern | None = None
    agent_name: Pattern | None = None
    """Of a job: the agent that ran it."""
    states: States = Field(default_factory=empty_list)
    """In which the job ended."""
    end_reasons: Reasons = Field(default_factory=empty_list)


class WebhookCreate(WebhookRule):
    """`POST /webhooks`."""

    name: Name
    url: Url


class WebhookChange(Body):
    """`PATCH /webhooks/{name}`: fields that are left out stay."""

    url: Url | None = None
    enabled: bool | None = None
    events: Events | None = None
    queues: Queues | None = None
    job_name: Pattern | None = None
    """Null: jobs of any name."""
    agent_name: Pattern | None = None
    states: States | None = None
    end_reasons: Reasons | None = None


class SecretRotation(Body):
    """`POST /webhooks/{name}/rotate-secret`."""

    grace: Duration = 86400.0
    """Seconds for which messages are signed with the former secret, too."""


class WebhookView(View):
    """A webhook without its secret."""

    id: JobId
    name: Name
    url: str
    events: list[WebhookEvent]
    queues: list[str] = Field(default_factory=empty_list)
    job_name: str | None = None
    agent_name: str | None = None
    states: list[JobState] = Field(default_factory=empty_list)
    end_reasons: list[EndReason] = Field(default_factory=empty_list)
    enabled: bool = True
    disabled_reason: str = ""
    """Why the server has disabled it."""
    attention: str = ""
    """What is the matter with it, as that messages wait for a receiver that fails."""
    created_at: datetime
    pending: int = 0
    """Messages that wait."""
    dropped: int = 0
    """Messages that were dropped because too many waited."""
    delivered_at: datetime | None = None
    """When a message was last delivered."""
    failing_since: datetime | None = None
    """Since when attempts have failed, without one that did not."""


class WebhookCreated(WebhookView):
    """A webhook with a new secret: the only time that it is shown."""

    secret: str


class DeliveryView(View):
    """A message and what became of it."""

    id: JobId
    """The receiver gets it as `webhook-id`, the same at each attempt."""
    type: str
    subject: str
    """The id of the job, or the name of the agent or the queue."""
    state: DeliveryState
    created_at: datetime
    attempts: int = 0
    """Since it was made or replayed."""
    next_at: datetime | None = None
    """When it is tried next."""
    last_at: datetime | None = None
    """When it was tried last."""
    status: int | None = None
    """HTTP status of the last answer."""
    seconds: float | None = None
    """How long the last attempt took."""
    error: str = ""
    """Why the last attempt failed."""


class DeliveryDetail(DeliveryView):
    """The same with what was sent."""

    body: str


# Messages ----------------------------------------------------------------------------------------


class Message(View):
    """What all messages have; the fields of `data` depend on `type`."""

    id: JobId
    """The same as `webhook-id`."""
    version: Literal[1] = VERSION
    timestamp: datetime
    """When it happened."""


class EndedJob(View):
    """A job that ended."""

    id: JobId
    name: str | None
    queue: str
    labels: dict[str, str]
    """Those that it demands."""
    state: JobState
    end_reason: EndReason | None
    end_detail: str
    exit_code: int | None
    attempts: int
    agent: str | None
    submitted_by: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class ChangedAgent(View):
    """An agent that is offline or online now."""

    name: str
    queues: list[str]
    last_seen_at: datetime | None


class ChangedQueue(View):
    """A queue that agents serve, or do not serve, now."""

    name: str


class Tested(View):
    """A test."""

    webhook: str
    requested_by: str


class JobEnded(Message):
    """A job ended, for good."""

    type: Literal[WebhookEvent.JOB_ENDED] = WebhookEvent.JOB_ENDED
    data: EndedJob


class AgentChanged(Message):
    """An agent went offline or came online."""

    type: Literal[WebhookEvent.AGENT_OFFLINE, WebhookEvent.AGENT_ONLINE]
    data: ChangedAgent


class QueueChanged(Message):
    """A queue lost its last agent that was online, or has one again."""

    type: Literal[WebhookEvent.QUEUE_UNSERVED, WebhookEvent.QUEUE_SERVED]
    data: ChangedQueue


class WebhookTest(Message):
    """Somebody tests the webhook."""

    type: Literal["webhook.test"] = "webhook.test"
    data: Tested


AnyMessage = Annotated[
    JobEnded | AgentChanged | QueueChanged | WebhookTest, Field(discriminator="type")
]
MESSAGE: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)
"""Reads a message of any type."""
