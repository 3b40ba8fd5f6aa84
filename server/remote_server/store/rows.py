"""Rows of the database as the domain's types, and back. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import Select, select

from remote_protocol.ids import Role
from remote_protocol.messages import Condition, Platform, Usage
from remote_protocol.spec import JobSpec
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.model import Agent, Attempt, Job, Principal, Queue, TimelineEvent, Token
from remote_server.store.schema import agents, attempts, jobs, queues, specs, timeline, tokens
from remote_server.store.specifications import Specs
from remote_server.store.transaction import Row

_ID: Final = 26

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
    jobs.c.hold_until,
    jobs.c.submitted_by,
    jobs.c.refusals,
    jobs.c.refusal,
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
SELECT_TOKEN: Final[Select[Any]] = select(*(column for column in tokens.c if column.name != "hash"))


def job_from(row: Row, parsed: Specs) -> Job:
    """A row of SELECT_JOB."""
    return _job(row, parsed.parse(*row[:3]))


def listed_job_from(row: Row, parsed: Specs) -> Job:
    """A row of SELECT_LISTED_JOB: what is large in its specification is cut."""
    return _job(row, *parsed.parse_listed(*row[:3]))


def _job(row: Row, spec: JobSpec, abridged: tuple[str, ...] = ()) -> Job:
    (identity, _, _, state, created, number, agent, code, reason, detail, *rest) = row
    (cancelled, why, assigned, started, ended, expires, not_before, usage, size, *rest) = rest
    (hold, by, refusals, refusal) = rest
    return Job(
        id=identity,
        spec=spec,
        state=JobState(state),
        created_at=created,
        attempt=number,
        agent=agent,
        exit_code=code,
        end_reason=None if reason is None else EndReason(reason),
        end_detail=detail,
        cancel_requested_at=cancelled,
        cancel_detail=why,
        assigned_at=assigned,
        started_at=started,
        ended_at=ended,
        expires_at=expires,
        not_before=not_before,
        hold_until=hold,
        usage=None if usage is None else Usage.model_validate_json(usage),
        log_size=size,
        submitted_by=principal_from(by),
        refusals=refusals or 0,
        refusal=refusal or "",
        abridged=abridged,
    )


def attempt_from(row: Row) -> Attempt:
    """A row of SELECT_ATTEMPT."""
    (job, number, agent, state, offered, accepted, started, ended, code, reason, *rest) = row
    detail, usage, size, complete, checksum = rest
    return Attempt(
        job=job,
        number=number,
        agent=agent,
        state=AttemptState(state),
        offered_at=offered,
        accepted_at=accepted,
        started_at=started,
        ended_at=ended,
        exit_code=code,
        end_reason=None if reason is None else EndReason(reason),
        end_detail=detail,
        usage=None if usage is None else Usage.model_validate_json(usage),
        log_size=size,
        log_complete=bool(complete),
        log_checksum=checksum,
    )


def agent_from(row: Row) -> Agent:
    """A row of SELECT_AGENT."""
    found = dict(zip(agents.c.keys(), row, strict=True))
    found["queues"] = tuple(json.loads(found["queues"]))
    found["allowed_queues"] = tuple(json.loads(found["allowed_queues"]))
    for name in ("labels", "capacity", "allowed_labels", "allowed_capacity", "server_labels"):
        found[name] = json.loads(found[name] or "{}")
    found["platform"] = Platform.model_validate_json(found["platform"])
    found["condition"] = Condition.model_validate_json(found["condition"])
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
    }


def queue_from(row: Row) -> Queue:
    """A row of SELECT_QUEUE."""
    name, description, paused, created, retention, most, jobs_kept = row
    return Queue(name, description, bool(paused), created, retention, most, jobs_kept)


def token_from(row: Row) -> Token:
    """A row of SELECT_TOKEN."""
    (identity, kind, name, role, agent, names, left, created, expires, used, *rest) = row
    revoked, labels, may_replace = rest
    return Token(
        id=identity,
        kind=kind,
        name=name,
        created_at=created,
        role=None if role is None else Role(role),
        agent=agent,
        queues=tuple(json.loads(names)),
        labels=json.loads(labels or "{}"),
        allow_replace=bool(may_replace),
        uses_left=left,
        expires_at=expires,
        last_used_at=used,
        revoked=bool(revoked),
    )


def event_from(row: Row) -> TimelineEvent:
    """A row of SELECT_EVENT."""
    seq, job, at, what, state, number, agent, source, detail, actor = row
    return TimelineEvent(
        seq,
        job,
        at,
        what,
        None if state is None else JobState(state),
        number,
        agent,
        source,
        detail,
        principal_from(actor),
    )


def principal_from(text: str | None) -> Principal | None:
    """Who did something, from the stored form."""
    return None if text is None else Principal(text[:_ID], text[_ID + 1 :])
