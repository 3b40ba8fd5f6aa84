"""What becomes of a group when one of its members changes its state. Queries live here.

Called inside the transaction that changes the member, so that counts and limits are never behind.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from remote_protocol.states import JobState
from remote_server.domain.change_set import GroupNews, Held
from remote_server.domain.demand import agent_in
from remote_server.domain.groups import Group, judged, may_start, moved
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.rows import principal_from
from remote_server.store.schema import groups, jobs

SELECT_GROUP: Final = select(
    *(column for column in groups.c if column.name not in ("request", "idempotency_key"))
)
GROUP: Final = SELECT_GROUP.where(groups.c.id == bindparam("group"))
_LOCKED: Final = GROUP.with_for_update()
_WRITTEN: Final = (
    *(state.value for state in JobState),
    *("halted_at", "cancel_requested_at", "cancel_detail", "ended_at"),
)
_WRITE: Final = (
    update(groups)
    .where(groups.c.id == bindparam("group"))
    .values({name: bindparam(name) for name in _WRITTEN})
)
_OPEN: Final = SELECT_GROUP.where(groups.c.ended_at.is_(None))
MEMBER_RANGE: Final = (
    jobs.c.id > bindparam("group"),
    jobs.c.id < bindparam("beyond"),
    jobs.c.group_id == bindparam("group"),
)
"""The members of a group: the ids of both begin with the same time, so that no index of them is
needed."""
_STATES: Final = select(jobs.c.state).where(*MEMBER_RANGE)
_TIME: Final = 10


def member_range(group: str) -> dict[str, object]:
    """The parameters of MEMBER_RANGE."""
    return {"group": group, "beyond": beyond(group)}


def beyond(group: str) -> str:
    """What comes after the ids of all members of a group (ulid/spec: ten characters of time)."""
    return f"{group[:_TIME]}~"


def group_from(row: Row) -> Group:
    """A row of SELECT_GROUP."""
    return Group(
        id=row.id,
        queue=row.queue,
        name=row.name,
        created_at=row.created_at,
        labels=json.loads(row.labels),
        online_only=bool(row.online_only),
        max_parallel=row.max_parallel,
        halt_on_failures=row.halt_on_failures,
        counts={state: getattr(row, state.value) for state in JobState},
        halted_at=row.halted_at,
        cancel_requested_at=row.cancel_requested_at,
        cancel_detail=row.cancel_detail,
        ended_at=row.ended_at,
        submitted_by=principal_from(row.submitted_by),
    )


def find_group(reader: Reader, group: str) -> Group | None:
    """A group; None when there is none."""
    row = reader.one(GROUP, {"group": group})
    return None if row is None else group_from(row)


def locked_group(tx: Transaction, group: str) -> Group | None:
    """The same, and nobody else changes it before this transaction is over."""
    row = tx.one(_LOCKED, {"group": group})
    return None if row is None else group_from(row)


def write_group(tx: Transaction, group: Group) -> None:
    """Write a group that has changed, and tell it."""
    row: dict[str, Any] = {state.value: count for state, count in group.counts.items()}
    row |= {
        "group": group.id,
        "halted_at": group.halted_at,
        "cancel_requested_at": group.cancel_requested_at,
        "cancel_detail": group.cancel_detail,
        "ended_at": group.ended_at,
    }
    tx.run(_WRITE, row)
    tell_group(tx, group)


def tell_group(tx: Transaction, group: Group) -> None:
    """Tell what a transaction has left of a group."""
    waiting = group.counts[JobState.QUEUED] > 0
    tx.changes.groups[group.id] = GroupNews(group.room, waiting, group.stopped)
    if waiting:
        # Another member may start, or has to end.
        tx.changes.queued = True


def admits(tx: Transaction, group: str) -> bool:
    """Whether one more member of a group may be given to its agent now."""
    found = locked_group(tx, group)
    return found is not None and may_start(found)


def member_moved(
    tx: Transaction,
    group: str,
    member: tuple[str, str],
    states: tuple[JobState, JobState],
    now: float,
    not_before: float | None = None,
) -> None:
    """A member of a group, its job and its agent, goes from one state to another."""
    found = locked_group(tx, group)
    if found is None:
        return
    job, agent = member
    old, new = states
    after = moved(found, old, new, now)
    write_group(tx, after)
    if new is JobState.QUEUED:
        tx.changes.held[group, agent] = Held(job, not_before)
    elif old is JobState.QUEUED:
        tx.changes.held[group, agent] = None
    if after.stopped and (not found.stopped or not new.terminal):
        tx.changes.stopping.add(group)


def agent_of(demand: str) -> str:
    """The agent that a member waits for, by its stored demand."""
    return agent_in(demand) or ""


def recount_groups(tx: Transaction, now: float) -> None:
    """Count the members of all groups again that have not ended: their states were changed by
    hand."""
    for row in tx.all(_OPEN):
        group = group_from(row)
        counts = dict.fromkeys(JobState, 0)
        for member in tx.all(_STATES, member_range(group.id)):
            counts[JobState(member.state)] += 1
        # Members that retention has removed had ended; how, the former counts say.
        gone = group.size - sum(counts.values())
        for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED):
            kept = min(gone, max(0, group.counts[state] - counts[state]))
            counts[state] += kept
            gone -= kept
        write_group(tx, judged(replace(group, counts=counts), now))
