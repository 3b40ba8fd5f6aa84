"""Rows of the database as the domain's types, and back. Pure."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Select, select

from remote_protocol.ids import Role
from remote_protocol.messages import Condition, Platform, Usage
from remote_protocol.spec import JobSpec
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.model import (
    Agent,
    Attempt,
    Job,
    Principal,
    Queue,
    StateChange,
    TimelineEvent,
    Token,
)
from remote_server.store.ports import Row
from remote_server.store.schema import agents, attempts, jobs, queues, specs, timeline, tokens
from remote_server.store.specifications import Specs

_ID: Final = 26
_ALIKE: Final = 256
"""Values of a column of agents that are kept to be given again."""

_JOB_COLUMNS: Final = (
    jobs.c.id,
    specs.c.spec,
    specs.c.bulk,
    jobs.c.state,
    jobs.c.created_at,
    jobs.c.attempt,
    jobs.c.agent,
    jobs.c.exit_code,
    jobs.c.end_reason,
    jobs.c.end_detail,
    jobs.c.cancel_requested_at,
    jobs.c.cancel_detail,
    jobs.c.assigned_at,
    jobs.c.started_at,
    jobs.c.ended_at,
    jobs.c.expires_at,
    jobs.c.not_before,
    jobs.c.usage,
    jobs.c.log_size,
    jobs.c.submitted_by,
    jobs.c.refusals,
    jobs.c.refusal,
    jobs.c.group_id,
)
_WITH_SPEC: Final = (jobs, specs, specs.c.job == jobs.c.id)
SELECT_JOB: Final[Select[Any]] = select(*_JOB_COLUMNS).join_from(*_WITH_SPEC)
SELECT_LISTED_JOB: Final[Select[Any]] = select(
    *(specs.c.excerpt if c is specs.c.bulk else c for c in _JOB_COLUMNS)
).join_from(*_WITH_SPEC)

_ATTEMPT_COLUMNS: Final = (
    attempts.c.job,
    attempts.c.number,
    attempts.c.agent,
    attempts.c.state,
    attempts.c.offered_at,
    attempts.c.accepted_at,
    attempts.c.started_at,
    attempts.c.ended_at,
    attempts.c.exit_code,
    attempts.c.end_reason,
    attempts.c.end_detail,
    attempts.c.usage,
    attempts.c.log_size,
    attempts.c.log_complete,
    attempts.c.log_checksum,
)
SELECT_ATTEMPT: Final[Select[Any]] = select(*_ATTEMPT_COLUMNS)
SELECT_AGENT: Final[Select[Any]] = select(*agents.c)
SELECT_QUEUE: Final[Select[Any]] = select(*queues.c)
SELECT_EVENT: Final[Select[Any]] = select(*timeline.c)
SELECT_CHANGE: Final[Select[Any]] = (
    select(*timeline.c, jobs.c.queue, jobs.c.exit_code, jobs.c.end_reason, jobs.c.idempotency_key)
    .join_from(timeline, jobs, jobs.c.id == timeline.c.job, isouter=True)
    .where(timeline.c.state.is_not(None))
)
SELECT_TOKEN: Final[Select[Any]] = select(*(column for column in tokens.c if column.name != "hash"))


def job_from(row: Row, parsed: Specs) -> Job:
    """A row of SELECT_JOB."""
    return _job(row, parsed.parse(row.id, row.spec, row.bulk))


def listed_job_from(row: Row, parsed: Specs) -> Job:
    """A row of SELECT_LISTED_JOB: what is large in its specification is cut."""
    return _job(row, *parsed.parse_listed(row.id, row.spec, row.excerpt))


def _job(row: Row, spec: JobSpec, abridged: tuple[str, ...] = ()) -> Job:
    return Job(
        id=row.id,
        spec=spec,
        state=JobState(row.state),
        created_at=row.created_at,
        attempt=row.attempt,
        agent=row.agent,
        exit_code=row.exit_code,
        end_reason=None if row.end_reason is None else EndReason(row.end_reason),
        end_detail=row.end_detail,
        cancel_requested_at=row.cancel_requested_at,
        cancel_detail=row.cancel_detail,
        assigned_at=row.assigned_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        expires_at=row.expires_at,
        not_before=row.not_before,
        usage=None if row.usage is None else Usage.model_validate_json(row.usage),
        log_size=row.log_size,
        submitted_by=principal_from(row.submitted_by),
        refusals=row.refusals or 0,
        refusal=row.refusal or "",
        group=row.group_id,
        abridged=abridged,
    )


def attempt_from(row: Row) -> Attempt:
    """A row of SELECT_ATTEMPT."""
    return Attempt(
        job=row.job,
        number=row.number,
        agent=row.agent,
        state=AttemptState(row.state),
        offered_at=row.offered_at,
        accepted_at=row.accepted_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        exit_code=row.exit_code,
        end_reason=None if row.end_reason is None else EndReason(row.end_reason),
        end_detail=row.end_detail,
        usage=None if row.usage is None else Usage.model_validate_json(row.usage),
        log_size=row.log_size,
        log_complete=bool(row.log_complete),
        log_checksum=row.log_checksum,
    )


# The hub keeps the row of each connected agent, and the rows of a fleet are alike: what is the
# same and never changes is there once. In ten thousand rows that is some 20 MB.


@lru_cache(maxsize=_ALIKE)
def _names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(maxsize=_ALIKE)
def _platform(text: str) -> Platform:
    return Platform.model_validate_json(text)


@lru_cache(maxsize=_ALIKE)
def _condition(text: str) -> Condition:
    return Condition.model_validate_json(text)


def agent_from(row: Row) -> Agent:
    """A row of SELECT_AGENT."""
    found = row._asdict()
    found["queues"] = _names(found["queues"])
    found["allowed_queues"] = _names(found["allowed_queues"])
    for name in ("labels", "capacity", "allowed_labels", "allowed_capacity", "server_labels"):
        found[name] = json.loads(found[name] or "{}")
    found["process"] = found["process"] or ""
    found["platform"] = _platform(found["platform"])
    found["condition"] = _condition(found["condition"])
    for flag in ("paused", "draining", "ephemeral"):
        found[flag] = bool(found[flag])
    return Agent(**found)


def agent_row(agent: Agent) -> dict[str, object]:
    """An agent as parameters for its row."""
    return {
        "name": agent.name,
        "queues": json.dumps(agent.queues),
        "labels": json.dumps(agent.labels, ensure_ascii=False),
        "capacity": json.dumps(agent.capacity),
        "registered_at": agent.registered_at,
        "paused": int(agent.paused),
        "pause_comment": agent.pause_comment,
        "draining": int(agent.draining),
        "drain_deadline_at": agent.drain_deadline_at,
        "ephemeral": int(agent.ephemeral),
        "fingerprint": agent.fingerprint,
        "allowed_queues": json.dumps(agent.allowed_queues),
        "allowed_labels": json.dumps(agent.allowed_labels, ensure_ascii=False),
        "allowed_capacity": json.dumps(agent.allowed_capacity),
        "server_labels": json.dumps(agent.server_labels, ensure_ascii=False),
        "announced": agent.announced,
        "version": agent.version,
        "platform": agent.platform.model_dump_json(),
        "boot_id": agent.boot_id,
        "address": agent.address,
        "epoch": agent.epoch,
        "connected_at": agent.connected_at,
        "last_seen_at": agent.last_seen_at,
        "condition": agent.condition.model_dump_json(),
        "installation": agent.installation,
        "process": agent.process,
        "restart_requested_at": agent.restart_requested_at,
    }


def queue_from(row: Row) -> Queue:
    """A row of SELECT_QUEUE."""
    found = row._asdict()
    default = bool(found.pop("is_default"))
    return Queue(**found | {"paused": bool(row.paused), "default": default})


def token_from(row: Row) -> Token:
    """A row of SELECT_TOKEN."""
    return Token(
        id=row.id,
        kind=row.kind,
        name=row.name,
        created_at=row.created_at,
        role=None if row.role is None else Role(row.role),
        agent=row.agent,
        queues=tuple(json.loads(row.queues)),
        labels=json.loads(row.labels or "{}"),
        allow_replace=bool(row.allow_replace),
        uses_left=row.uses_left,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked=bool(row.revoked),
        owner=row.owner,
    )


def event_from(row: Row) -> TimelineEvent:
    """A row of SELECT_EVENT."""
    return TimelineEvent(
        seq=row.seq,
        job=row.job,
        at=row.at,
        what=row.what,
        state=None if row.state is None else JobState(row.state),
        attempt=row.attempt,
        agent=row.agent,
        source=row.source,
        detail=row.detail,
        by=principal_from(row.actor),
    )


def change_from(row: Row) -> StateChange:
    """A row of SELECT_CHANGE."""
    state = JobState(row.state)
    ended = state.terminal and row.queue is not None
    return StateChange(
        seq=row.seq,
        job=row.job,
        at=row.at,
        what=row.what,
        state=state,
        attempt=row.attempt,
        agent=row.agent,
        source=row.source,
        detail=row.detail,
        by=principal_from(row.actor),
        queue=row.queue or "",
        exit_code=row.exit_code if ended else None,
        end_reason=EndReason(row.end_reason) if ended and row.end_reason else None,
        idempotency_key=row.idempotency_key,
    )


def principal_from(text: str | None) -> Principal | None:
    """Who did something, from the stored form."""
    return None if text is None else Principal(text[:_ID], text[_ID + 1 :])
