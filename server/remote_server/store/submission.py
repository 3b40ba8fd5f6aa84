"""The operation that stores new jobs, and gives to agents what has a place already. Queries live
here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, insert, literal_column, select

from remote_protocol.spec import DEFAULT_QUEUE, JobSpec
from remote_protocol.states import JobState
from remote_server.domain.change_set import Submitted
from remote_server.domain.demand import (
    Policy,
    demand_key,
    demand_text,
    policy_of,
    policy_text,
)
from remote_server.domain.model import Demand
from remote_server.domain.secrets import Sealer
from remote_server.errors import (
    Conflict,
    ContentMissing,
    JobTooLarge,
    ServerError,
    UnknownAgent,
    UnknownQueue,
)
from remote_server.store.arrivals import Places
from remote_server.store.assignment import Placed, give_new
from remote_server.store.contents import note_needs, require_contents
from remote_server.store.ports import Transaction
from remote_server.store.private_inputs import keep_private_inputs
from remote_server.store.repository import require_agents, require_queues, unplaceable
from remote_server.store.schema import jobs, specs
from remote_server.store.specifications import SpecTexts, spec_texts

_QUEUED: Final = JobState.QUEUED.value
_ASSIGNED: Final = JobState.ASSIGNED.value
_ZERO: Final = ("reuse_withdrawn", "deferred", "log_size")
_COUNTS: Final = ("attempt", "used", "tries")
_GIVEN: Final = (
    "id",
    "state",
    "queue",
    "priority",
    "demand",
    "demand_key",
    "policy",
    "created_at",
    "expires_at",
    "idempotency_key",
    "name",
    "submitted_by",
)
_PLAIN: Final[dict[str, Any]] = (
    {name: bindparam(name) for name in _GIVEN}
    | {name: literal_column("0") for name in _ZERO}
    | {"cancel_detail": literal_column("''")}
)
_INSERT_JOB: Final = insert(jobs).values(_PLAIN | {name: literal_column("0") for name in _COUNTS})
_INSERT_PLACED: Final = insert(jobs).values(
    _PLAIN
    | {name: literal_column("1") for name in _COUNTS}
    | {name: bindparam(name) for name in ("agent", "assigned_at")}
)
_INSERT_SPEC: Final = insert(specs).values(
    {name: bindparam(name) for name in ("job", "spec", "excerpt", "bulk")}
)
_AT_ONCE: Final = 16
"""Keys that are looked for by one statement: one for each is most of what a batch reads."""


def _by_keys(count: int) -> Select[Any]:
    wanted: list[ColumnElement[str]] = [bindparam(f"key{number}") for number in range(count)]
    return (
        select(jobs.c.idempotency_key, jobs.c.id, specs.c.spec, specs.c.bulk)
        .join_from(jobs, specs, specs.c.job == jobs.c.id)
        .where(
            jobs.c.idempotency_key.in_(wanted),
            jobs.c.submitted_by.is_not_distinct_from(bindparam("submitter")),
        )
    )


_BY_KEY: Final = _by_keys(1)
_BY_KEYS: Final = _by_keys(_AT_ONCE)
_REFUSALS: Final = (Conflict, ContentMissing, JobTooLarge, UnknownAgent, UnknownQueue)
"""What is the matter with one job, and not with the database."""


class NewJob(NamedTuple):
    """A job that is to be stored."""

    id: str
    spec: JobSpec
    asked: JobSpec
    """The same as it was asked for: it may name no queue."""
    texts: SpecTexts
    demand: Demand


class _Keyed(NamedTuple):
    """A job that has an idempotency key, as it is stored."""

    job: str
    spec: str
    bulk: str | None


@dataclass(frozen=True, slots=True)
class Submission:
    """The jobs of one call, in their order."""

    jobs: Sequence[NewJob]
    now: float
    detail: str
    action: str
    """What the audit calls it."""
    inputs: Mapping[int, Sealer]
    """Private inputs by the places of their jobs."""
    repeated: bool
    each: bool
    """Each of them is judged alone."""
    too_large: Mapping[int, ServerError]
    """Those that no agent could be offered."""
    places: Places | None
    """Who has found agents for some of them."""


def store_jobs(tx: Transaction, call: Submission) -> list[str | ServerError]:
    """Store them; the ids of the jobs, or why one of those that are judged alone is refused."""
    refused = _refused(tx, call)
    now, submitter, places = call.now, tx.by.text, call.places
    agents: Mapping[str, str] = {} if places is None else places.agents
    given_at = now if places is None else places.at
    stored: list[str | ServerError] = []
    rows: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    bodies: list[dict[str, object]] = []
    needs: list[tuple[str, dict[str, int]]] = []
    keyed = _keyed(tx, call.jobs, submitter)
    for number, (job, spec, asked, texts, needed_of_agent) in enumerate(call.jobs):
        key = spec.idempotency_key
        needed = {ref.digest: ref.size for ref in spec.contents}
        try:
            if number in refused:
                raise refused[number]
            if key is not None and key in keyed:
                stored.append(_same(key, keyed[key], asked, texts))
                continue
            if needed:
                require_contents(tx, needed, tx.by, repeated=call.repeated)
        except _REFUSALS as error:
            if not call.each:
                raise
            stored.append(error)
            continue
        if key is not None:
            keyed[key] = _Keyed(job, texts.spec, texts.bulk)
        if needed:
            needs.append((job, needed))
        policy = policy_of(spec)
        row = _row(spec, job, demand_text(needed_of_agent), policy, now, submitter)
        bodies.append(
            {"job": job, "spec": texts.spec, "excerpt": texts.excerpt, "bulk": texts.bulk}
        )
        stored.append(job)
        rows.append(row)
        tx.changes.submitted.append(Submitted(job, now, spec.traceparent))
        tx.note(job, now, "queued", state=JobState.QUEUED, detail=call.detail)
        agent = agents.get(job)
        if agent is None:
            waiting.append(row)
            tx.ready(row["demand"], 1)
            tx.moves(spec.queue, None, JobState.QUEUED)
        else:
            _store_placed(tx, row, policy, agent, given_at)
    if waiting:
        tx.many(_INSERT_JOB, waiting)
    if bodies:
        tx.many(_INSERT_SPEC, bodies)
    for job, needed in needs:
        note_needs(tx, [job], needed, now)
    if call.inputs:
        ids = [new.id for new in call.jobs]
        keep_private_inputs(
            tx, [(ids[n], seal) for n, seal in call.inputs.items() if stored[n] == ids[n]]
        )
    if rows:
        _audit_submit(tx, rows, call.action, call.detail)
    return stored


def _keyed(tx: Transaction, new: Sequence[NewJob], submitter: str | None) -> dict[str, _Keyed]:
    """The jobs that the same submitter has made with the keys of these, by their keys."""
    keys = list(dict.fromkeys(one.spec.idempotency_key for one in new))
    wanted = [key for key in keys if key is not None]
    found: dict[str, _Keyed] = {}
    while wanted:
        count = _AT_ONCE if len(wanted) > 1 else 1
        some, wanted = wanted[:count], wanted[count:]
        # What is left over is asked for again: no row comes twice because of that.
        some += some[:1] * (count - len(some))
        values = {f"key{number}": key for number, key in enumerate(some)}
        for row in tx.all(_BY_KEYS if count > 1 else _BY_KEY, values | {"submitter": submitter}):
            found[row.idempotency_key] = _Keyed(row.id, row.spec, row.bulk)
    return found


def _row(
    spec: JobSpec, job: str, demand: str, policy: Policy, now: float, submitter: str | None
) -> dict[str, Any]:
    return {
        "id": job,
        "state": _QUEUED,
        "queue": spec.queue,
        "priority": spec.priority,
        "demand": demand,
        "demand_key": demand_key(demand),
        "policy": policy_text(policy),
        "created_at": now,
        "expires_at": None if spec.expires_in is None else now + spec.expires_in,
        "idempotency_key": spec.idempotency_key,
        "name": spec.name,
        "submitted_by": submitter,
    }


def _store_placed(
    tx: Transaction, row: dict[str, Any], policy: Policy, agent: str, at: float
) -> None:
    """Store a job as given to an agent."""
    row |= {"state": _ASSIGNED, "agent": agent, "assigned_at": at}
    tx.run(_INSERT_PLACED, row)
    placed = Placed(row["id"], agent, row["queue"], row["demand"], policy, row["expires_at"])
    give_new(tx, placed, at)


def _refused(tx: Transaction, call: Submission) -> Mapping[int, ServerError]:
    """Why jobs that are judged alone are not stored, as far as that shows before the others are.
    UnknownQueue, UnknownAgent where all are stored or none."""
    wanted = [new.spec for new in call.jobs]
    if call.each:
        return {**unplaceable(tx, wanted), **call.too_large}
    queues = {spec.queue for spec in wanted} - tx.known.queues
    require_queues(tx, queues)
    tx.known.queues |= queues
    require_agents(tx, {spec.agent for spec in wanted if spec.agent is not None})
    return call.too_large


def _audit_submit(
    tx: Transaction, rows: Sequence[Mapping[str, object]], action: str, detail: str
) -> None:
    """One entry for one call, however many jobs it made: their own rows say who submitted them."""
    first = rows[0]
    said: dict[str, object] = {"queue": first["queue"]}
    if len(rows) > 1:
        queues = sorted({str(row["queue"]) for row in rows})
        said = {"jobs": len(rows), "last": rows[-1]["id"], "queues": queues}
    if first["name"]:
        said["name"] = first["name"]
    if detail:
        said["detail"] = detail
    tx.audit(action, "job", str(first["id"]), said)


def _same(key: str, known: _Keyed, asked: JobSpec, texts: SpecTexts) -> str:
    """The job that a key was used for first. Conflict when it was a different one."""
    first, text, bulk = known
    if (text, bulk) == (texts.spec, texts.bulk):
        return first
    if not asked.names_queue:
        queue = json.loads(text).get("queue", DEFAULT_QUEUE)
        there = spec_texts(asked.model_copy(update={"queue": queue}))
        if (text, bulk) == (there.spec, there.bulk):
            return first
    raise Conflict(
        f"the idempotency key {key!r} was used for a different job ({first}); "
        "use a new key for a new job"
    )
