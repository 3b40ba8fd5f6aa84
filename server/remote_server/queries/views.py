"""Turns what the store knows into what the API shows. Pure.

What comes out of the store was validated when it went in, so that views are put together
without validating it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from remote_protocol.api.bodies import Actor
from remote_protocol.api.events import TimelineEntry
from remote_protocol.api.inputs import InputView
from remote_protocol.api.jobs import AttemptView, JobView, view_of
from remote_protocol.api.tokens import TokenView
from remote_protocol.ids import Role
from remote_server.domain.allowed_actions import on_job, on_token
from remote_server.domain.enrolment import ANY
from remote_server.domain.model import (
    Attempt,
    Job,
    Principal,
    StateChange,
    TimelineEvent,
    Token,
)
from remote_server.inputs import Input


def when(seconds: float) -> datetime:
    """Unix seconds as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def when_if(seconds: float | None) -> datetime | None:
    """The same, for a time that may be missing."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def attempt_view(attempt: Attempt) -> AttemptView:
    """One attempt as shown."""
    return _made(
        AttemptView,
        {
            "number": attempt.number,
            "state": attempt.state,
            "agent": attempt.agent,
            "offered_at": when(attempt.offered_at),
            "accepted_at": when_if(attempt.accepted_at),
            "started_at": when_if(attempt.started_at),
            "ended_at": when_if(attempt.ended_at),
            "exit_code": attempt.exit_code,
            "end_reason": attempt.end_reason,
            "end_detail": attempt.end_detail,
            "usage": attempt.usage,
            "log_size": attempt.log_size,
            "log_complete": attempt.log_complete,
            "log_checksum": attempt.log_checksum,
        },
    )


V = TypeVar("V", bound=BaseModel)
HIDDEN: Final = "(hidden)"
"""Instead of the value of a variable, where whoever looks may not see it."""


def actor_view(by: Principal | None) -> Actor | None:
    """Who did something, as shown."""
    return None if by is None else _made(Actor, {"id": by.id, "name": by.name})


@cache
def _defaults(model: type[JobView]) -> dict[str, Any]:
    """Of what a caller adds to a view, if anything; never changed in place."""
    return {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in model.model_fields.items()
    }


@cache
def _fields(model: type[BaseModel]) -> set[str]:
    """Names of all fields of a view; never changed in place."""
    return set(model.model_fields)


def _made(model: type[V], values: dict[str, Any]) -> V:
    """A model of values for all of its fields: as `model_construct`, which looks for aliases and
    defaults of each of them, and costs a tenth of a submit."""
    made = model.__new__(model)
    place = object.__setattr__
    place(made, "__dict__", values)
    place(made, "__pydantic_fields_set__", _fields(model))
    place(made, "__pydantic_extra__", None)
    place(made, "__pydantic_private__", None)
    return made


def job_view(
    job: Job,
    pending_reason: str | None = None,
    attempts: Sequence[Attempt] = (),
    *,
    values_shown: bool = True,
    sent: InputView | None = None,
    attention: str | None = None,
    role: Role | None = None,
) -> JobView:
    """A job as shown to whoever has a role; without `values_shown` its variables have no values."""
    model = view_of(type(job.spec))
    values = _defaults(model) | job.spec.__dict__
    if not values_shown:
        values["env"] = dict.fromkeys(job.spec.env, HIDDEN)
    values.update(
        id=job.id,
        state=job.state,
        pending_reason=pending_reason,
        attempt=job.attempt,
        agent=job.agent,
        group=job.group,
        wanted_agent=job.spec.agent,
        exit_code=job.exit_code,
        end_reason=job.end_reason,
        end_detail=job.end_detail,
        cancel_requested=job.cancel_requested_at is not None,
        created_at=when(job.created_at),
        assigned_at=when_if(job.assigned_at),
        started_at=when_if(job.started_at),
        ended_at=when_if(job.ended_at),
        expires_at=when_if(job.expires_at),
        not_before=when_if(job.not_before),
        usage=job.usage,
        log_size=job.log_size,
        submitted_by=actor_view(job.submitted_by),
        input=sent,
        attention=attention,
        allowed_actions=on_job(role, job.state, job.spec.has_input),
        attempts=[attempt_view(attempt) for attempt in attempts],
        abridged=list(job.abridged),
    )
    return _made(model, values)


def input_view(state: Input, ttl: float) -> InputView:
    """How far an input has come, as shown."""
    if state.ended:
        return InputView.model_construct(size=state.size, state="ended", ttl=None)
    return InputView.model_construct(size=state.size, state="open", ttl=ttl)


def timeline_entry(entry: TimelineEvent) -> TimelineEntry:
    """One thing that happened, as shown."""
    return _made(
        TimelineEntry,
        {
            "seq": entry.seq,
            "job": entry.job,
            "at": when(entry.at),
            "what": entry.what,
            "state": entry.state,
            "attempt": entry.attempt,
            "agent": entry.agent,
            "source": entry.source,
            "detail": entry.detail,
            "by": actor_view(entry.by),
        },
    )


def change_json(entry: StateChange) -> str:
    """A `JobEvent` as JSON, without a model in between: streams of events have many of them."""
    by = entry.by
    values = {
        "seq": entry.seq,
        "job": entry.job,
        "at": when(entry.at).isoformat().replace("+00:00", "Z"),
        "what": entry.what,
        "state": entry.state,
        "attempt": entry.attempt,
        "agent": entry.agent,
        "source": entry.source,
        "detail": entry.detail,
        "by": None if by is None else {"id": by.id, "name": by.name},
        "queue": entry.queue,
        "exit_code": entry.exit_code,
        "end_reason": entry.end_reason,
        "idempotency_key": entry.idempotency_key,
    }
    return to_json(values).decode()


def token_view(token: Token, caller: Token) -> TokenView:
    """A token as shown to the bearer of another one, or the same; without its secret."""
    return TokenView.model_validate(token_values(token, caller))


def token_values(token: Token, caller: Token | None) -> dict[str, object]:
    """The fields of a token's view. `caller` None: nobody can do anything with it there."""
    allowed = [] if caller is None else on_token(caller.role, caller.id == token.id, token.revoked)
    return {
        "id": token.id,
        "kind": token.kind,
        "name": token.name,
        "role": token.role,
        "agent": token.agent,
        "queues": [queue for queue in token.queues if queue != ANY],
        "any_queue": ANY in token.queues,
        "labels": token.labels,
        "allow_replace": token.allow_replace,
        "uses_left": token.uses_left,
        "created_at": when(token.created_at),
        "expires_at": when_if(token.expires_at),
        "last_used_at": when_if(token.last_used_at),
        "revoked": token.revoked,
        "allowed_actions": allowed,
    }
