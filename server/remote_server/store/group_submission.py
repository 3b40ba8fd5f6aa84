"""The submission of a group: which agents match, and a job for each of them, in one transaction.
Queries live here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, insert, literal_column, select

from remote_protocol.api.groups import GroupCreate
from remote_protocol.limits import MAX_GROUP_MEMBERS, MAX_GROUP_SIZE
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from remote_protocol.units import format_size
from remote_server.domain.change_set import Submitted
from remote_server.domain.demand import (
    demand_key,
    demand_of,
    demand_text,
    for_agent,
    is_special,
    policy_of,
    policy_text,
)
from remote_server.errors import Conflict, JobTooLarge, NoAgentMatches
from remote_server.store.contents import note_needs, require_contents
from remote_server.store.members import find_group, tell_group
from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import after, require_queues
from remote_server.store.schema import HELD, agents, groups, jobs, specs
from remote_server.store.specifications import SpecTexts, require_offerable, spec_texts

MAX_WAITING: Final = 100_000
"""Members of all groups that may wait at the same time."""
_ZERO: Final = ("attempt", "used", "tries", "reuse_withdrawn", "log_size")
_GIVEN: Final = (
    *("id", "queue", "priority", "demand", "demand_key", "policy", "created_at"),
    *("expires_at", "name", "submitted_by", "group_id"),
)
_INSERT_MEMBER: Final = insert(jobs).values(
    {name: bindparam(name) for name in _GIVEN}
    | {name: literal_column("0") for name in _ZERO}
    | {"state": literal_column("'queued'"), "deferred": literal_column(str(HELD))}
    | {"cancel_detail": literal_column("''")}
)
_INSERT_SPEC: Final = insert(specs).values(
    {name: bindparam(name) for name in ("job", "spec", "excerpt", "bulk")}
)
_INSERT_GROUP: Final = insert(groups).values(
    {column.name: bindparam(column.name) for column in groups.c}
)
_AGENTS: Final = select(
    agents.c.name, agents.c.queues, agents.c.labels, agents.c.platform
).order_by(agents.c.name)
_BY_KEY: Final = select(groups.c.id, groups.c.queue, groups.c.request).where(
    groups.c.idempotency_key == bindparam("wanted"),
    groups.c.submitted_by.is_not_distinct_from(bindparam("submitter")),
)
_WAITING: Final = select(func.sum(groups.c.queued).label("number")).where(
    groups.c.ended_at.is_(None)
)


class Prepared(NamedTuple):
    """All of a group that is known before its agents are."""

    id: str
    wanted: GroupCreate
    names_queue: bool
    """Whether the queue was asked for, and is not the default one because none was."""
    spec: JobSpec
    """Without its idempotency key, which is the group's."""
    texts: SpecTexts
    request: str
    now: float


def prepare(wanted: GroupCreate, group: str, now: float, names_queue: bool = True) -> Prepared:
    """A group with this id. JobTooLarge when no agent could be offered its job."""
    spec = wanted.spec.model_copy(update={"idempotency_key": None})
    texts = spec_texts(spec)
    require_offerable(spec, texts)
    return Prepared(group, wanted, names_queue, spec, texts, _request(wanted, spec), now)


def store_group(
    tx: Transaction, prepared: Prepared, available: Collection[str] | None
) -> tuple[str, bool]:
    """Store a group with its members; its id, and whether it is new."""
    group, wanted, _, spec, texts, _, now = prepared
    key, submitter = wanted.spec.idempotency_key, tx.by.text
    if key is not None:
        first = tx.one(_BY_KEY, {"wanted": key, "submitter": submitter})
        if first is not None:
            _require_same(key, first.id, first.queue, first.request, prepared)
            return str(first.id), False
    require_queues(tx, {spec.queue})
    names = matching(tx, wanted, available)
    _require_members(tx, wanted, names, texts)
    rows = _rows(group, spec, names, now, submitter)
    bodies = [
        {"job": row["id"], "spec": _for(name, texts.spec)}
        | {"excerpt": texts.excerpt, "bulk": texts.bulk}
        for row, name in zip(rows, names, strict=True)
    ]
    tx.run(_INSERT_GROUP, _group_row(prepared, len(rows), submitter))
    tx.many(_INSERT_MEMBER, rows)
    tx.many(_INSERT_SPEC, bodies)
    if needed := {ref.digest: ref.size for ref in spec.contents}:
        require_contents(tx, needed, tx.by)
        note_needs(tx, [str(row["id"]) for row in rows], needed, now)
    said = f"member of group {group}"
    for row in rows:
        job = str(row["id"])
        tx.changes.submitted.append(Submitted(job, now, spec.traceparent))
        tx.note(job, now, "queued", state=JobState.QUEUED, detail=said)
        tx.moves(spec.queue, None, JobState.QUEUED)
    _audit_submit(tx, group, wanted, len(rows))
    found = find_group(tx, group)
    assert found is not None
    tell_group(tx, found)
    return group, True


def matching(
    reader: Reader, wanted: GroupCreate, available: Collection[str] | None = None
) -> list[str]:
    """The agents that serve the queue, have all labels and run jobs of the kind, by name."""
    kind = wanted.spec.kind
    labels = {**wanted.spec.labels, **wanted.select.labels}
    clash = any(wanted.spec.labels.get(k, v) != v for k, v in wanted.select.labels.items())
    if clash:
        return []
    return [
        row.name
        for row in reader.all(_AGENTS)
        if (available is None or row.name in available)
        and wanted.spec.queue in json.loads(row.queues)
        and (not labels or _has(json.loads(row.labels), labels))
        and (not is_special(kind) or _runs(row.platform, kind))
    ]


def _has(own: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(own.get(key) == value for key, value in labels.items())


def _runs(platform: str, kind: str) -> bool:
    return '"kinds":["' in platform and kind in json.loads(platform)["kinds"]


def _no_match(wanted: GroupCreate) -> NoAgentMatches:
    """Why a group would have no members, as a sentence."""
    labels = {**wanted.spec.labels, **wanted.select.labels}
    pairs = ", ".join(f"{key}={value}" for key, value in labels.items())
    which = f" and has {pairs}" if pairs else ""
    if is_special(wanted.spec.kind):
        which += f" and runs jobs of the kind {wanted.spec.kind}"
    online = " and takes jobs now" if wanted.select.online_only else ""
    return NoAgentMatches(
        f"no agent serves queue {wanted.spec.queue!r}{which}{online}, so that the group would be "
        "empty and nothing was submitted; see: remotectl agent list"
    )


def _require_members(
    tx: Transaction, wanted: GroupCreate, names: Sequence[str], texts: SpecTexts
) -> None:
    if not names:
        raise _no_match(wanted)
    count = len(names)
    if count > MAX_GROUP_MEMBERS:
        raise Conflict(
            f"{count} agents match; a group has {MAX_GROUP_MEMBERS} members at the most: select "
            "fewer by labels"
        )
    if count * texts.size > MAX_GROUP_SIZE:
        raise JobTooLarge(
            f"the job has {format_size(texts.size)} and {count} agents match: together more than "
            f"the {format_size(MAX_GROUP_SIZE)} that a group may have. Let the job fetch its "
            "files, or select fewer agents by labels"
        )
    row = tx.one(_WAITING)
    waiting = int(row.number or 0) if row is not None else 0
    if waiting + count > MAX_WAITING:
        raise Conflict(
            f"{waiting} members of other groups wait already, and {MAX_WAITING} may at the same "
            "time; cancel groups that nobody needs, or try again later"
        )


def _rows(
    group: str, spec: JobSpec, names: Sequence[str], now: float, submitter: str | None
) -> list[dict[str, object]]:
    base = demand_text(demand_of(spec))
    policy = policy_text(policy_of(spec))
    shared: dict[str, object] = {
        "queue": spec.queue,
        "priority": spec.priority,
        "policy": policy,
        "created_at": now,
        "expires_at": None if spec.expires_in is None else now + spec.expires_in,
        "name": spec.name,
        "submitted_by": submitter,
        "group_id": group,
    }
    key: Callable[[str], str] = demand_key.__wrapped__
    rows = []
    for number, name in enumerate(names, 1):
        demand = for_agent(base, name)
        own = {"id": after(group, number), "demand": demand, "demand_key": key(demand)}
        rows.append(shared | own)
    return rows


def _for(agent: str, text: str) -> str:
    """A stored specification that names no agent, for this agent."""
    head = f'{{"agent":{json.dumps(agent)}'
    return f"{head}}}" if text == "{}" else f"{head},{text[1:]}"


def _group_row(prepared: Prepared, size: int, submitter: str | None) -> dict[str, object]:
    wanted = prepared.wanted
    row: dict[str, object] = {state.value: 0 for state in JobState}
    return row | {
        "id": prepared.id,
        "queue": wanted.spec.queue,
        "name": wanted.spec.name,
        "created_at": prepared.now,
        "submitted_by": submitter,
        "idempotency_key": wanted.spec.idempotency_key,
        "request": prepared.request,
        "labels": json.dumps(wanted.select.labels, ensure_ascii=False),
        "online_only": int(wanted.select.online_only),
        "max_parallel": wanted.max_parallel,
        "halt_on_failures": wanted.halt_on_failures,
        "queued": size,
        "halted_at": None,
        "cancel_requested_at": None,
        "cancel_detail": "",
        "ended_at": None,
    }


def _request(wanted: GroupCreate, spec: JobSpec) -> str:
    """A hash of all that was asked for, but for the key."""
    asked: list[Any] = [
        spec.short_json,
        sorted(wanted.select.labels.items()),
        wanted.select.online_only,
        wanted.max_parallel,
        wanted.halt_on_failures,
    ]
    return sha256(json.dumps(asked).encode()).hexdigest()


def _require_same(key: str, first: str, queue: str, known: str, prepared: Prepared) -> None:
    """Conflict when a key was used for a different group. A repeat that names no queue is the same
    group in whichever: the default queue may be another one by now."""
    if known == prepared.request:
        return
    if not prepared.names_queue:
        there = prepared.spec.model_copy(update={"queue": queue})
        if known == _request(prepared.wanted, there):
            return
    raise Conflict(
        f"the idempotency key {key!r} was used for a different group ({first}); use a new key "
        "for a new group"
    )


def _audit_submit(tx: Transaction, group: str, wanted: GroupCreate, size: int) -> None:
    said: dict[str, object] = {"queue": wanted.spec.queue, "jobs": size}
    for name, value in (
        ("name", wanted.spec.name),
        ("labels", wanted.select.labels),
        ("max_parallel", wanted.max_parallel),
        ("halt_on_failures", wanted.halt_on_failures),
    ):
        if value:
            said[name] = value
    tx.audit("group.submit", "group", group, said)
