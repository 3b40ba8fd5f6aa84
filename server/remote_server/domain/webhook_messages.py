"""The messages of webhooks as the JSON that is sent. Pure.

Nothing of commands, environments and output is in them. What they are made of was validated when it
was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from remote_protocol.api.webhooks import (
    AgentChanged,
    ChangedAgent,
    ChangedQueue,
    EndedJob,
    JobEnded,
    Message,
    QueueChanged,
    Tested,
    WebhookEvent,
    WebhookTest,
)
from remote_protocol.states import EndReason, JobState
from remote_server.domain.demand import demand_from, labels_of
from remote_server.domain.webhooks import Told

_ACTOR_ID: Final = 26
"""A stored actor is its id, a space and its name."""


class Draft(NamedTuple):
    """A message before it has an id: what it tells, when that happened, and the rest of it."""

    told: Told
    at: float
    message: type[Message]
    fields: dict[str, Any]
    seq: int = 0
    """The number of the event that it was made from; 0: there is none."""
    since: float | None = None
    """Only webhooks that were active then have to hear of it; None: all."""

    def body(self, id: str) -> str:
        """The JSON of the message with this id."""
        made = self.message.model_construct(id=id, timestamp=_when(self.at), **self.fields)
        return made.model_dump_json()


def of_job(row: Any) -> Draft:
    """A job that ended: `row` has the columns of its row, and the number and time of the event."""
    state = JobState(row.state)
    reason = None if row.end_reason is None else EndReason(row.end_reason)
    job = EndedJob.model_construct(
        id=row.id,
        name=row.name,
        queue=row.queue,
        labels=labels_of(demand_from(row.demand)),
        state=state,
        end_reason=reason,
        end_detail=row.end_detail or "",
        exit_code=row.exit_code,
        attempts=row.attempt,
        agent=row.agent,
        submitted_by=None if row.submitted_by is None else row.submitted_by[_ACTOR_ID + 1 :],
        created_at=_when(row.created_at),
        started_at=None if row.started_at is None else _when(row.started_at),
        ended_at=None if row.ended_at is None else _when(row.ended_at),
    )
    told = Told(WebhookEvent.JOB_ENDED, row.id, (row.queue,), row.agent, row.name, state, reason)
    fields = {"type": WebhookEvent.JOB_ENDED, "data": job}
    return Draft(told, row.at, JobEnded, fields, row.seq)


def of_agent(
    name: str, queues: Sequence[str], online: bool, seen_at: float | None, at: float
) -> Draft:
    """An agent that is online or offline now."""
    event = WebhookEvent.AGENT_ONLINE if online else WebhookEvent.AGENT_OFFLINE
    agent = ChangedAgent.model_construct(
        name=name,
        queues=list(queues),
        last_seen_at=None if seen_at is None else _when(seen_at),
    )
    return Draft(Told(event, name, queues, name), at, AgentChanged, {"type": event, "data": agent})


def of_queue(name: str, served: bool, at: float) -> Draft:
    """A queue that agents serve, or do not serve, now."""
    event = WebhookEvent.QUEUE_SERVED if served else WebhookEvent.QUEUE_UNSERVED
    queue = ChangedQueue.model_construct(name=name)
    return Draft(Told(event, name, (name,)), at, QueueChanged, {"type": event, "data": queue})


def of_test(id: str, webhook: str, by: str, at: float) -> str:
    """The JSON of a test's message."""
    data = Tested.model_construct(webhook=webhook, requested_by=by)
    return WebhookTest.model_construct(id=id, timestamp=_when(at), data=data).model_dump_json()


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
