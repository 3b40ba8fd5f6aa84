"""Groups: submit, look up, list, cancel, end what a stopped one has left. Queries live here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, select

from remote_protocol.api.groups import GroupCreate
from remote_protocol.limits import MAX_GROUP_MEMBERS
from remote_protocol.states import EndReason, JobState
from remote_server.domain.groups import Group, why_stopped
from remote_server.domain.model import SYSTEM, Principal
from remote_server.errors import NotFound
from remote_server.store.cancelling import cancel_job
from remote_server.store.default_queue import DefaultQueue
from remote_server.store.group_submission import matching, prepare, store_group
from remote_server.store.members import (
    GROUP,
    MEMBER_RANGE,
    SELECT_GROUP,
    agent_of,
    beyond,
    group_from,
    locked_group,
    member_range,
    write_group,
)
from remote_server.store.ports import Reader, Transaction
from remote_server.store.repository import NONE_SKIPPED, is_state, require_queues
from remote_server.store.schema import groups, jobs

BATCH: Final = 50
"""Members that are ended in one transaction: some milliseconds."""
_PAGE: Final = (
    SELECT_GROUP.where(groups.c.id < bindparam("before"))
    .order_by(groups.c.id.desc())
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_PAGE_OF: Final = _PAGE.where(groups.c.queue == bindparam("in_queue"))
_KEYED: Final = SELECT_GROUP.where(
    groups.c.idempotency_key == bindparam("wanted"),
    groups.c.submitted_by.is_not_distinct_from(bindparam("submitter")),
)
_MEMBERS: Final = (
    select(jobs.c.id, jobs.c.demand, jobs.c.state, jobs.c.attempt, jobs.c.exit_code)
    .add_columns(jobs.c.end_reason, jobs.c.end_detail, jobs.c.started_at, jobs.c.ended_at)
    .where(
        jobs.c.id > bindparam("after"),
        jobs.c.id < bindparam("beyond"),
        jobs.c.group_id == bindparam("group"),
    )
    .order_by(jobs.c.id)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_UNFINISHED: Final = (
    select(jobs.c.id)
    .where(
        *MEMBER_RANGE,
        jobs.c.id > bindparam("after"),
        is_state(jobs.c.state, "queued", "assigned", "running"),
    )
    .order_by(jobs.c.id)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_UNSTARTED: Final = (
    select(jobs.c.id)
    .where(*MEMBER_RANGE, jobs.c.id > bindparam("after"), is_state(jobs.c.state, "queued"))
    .order_by(jobs.c.id)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_STOPPED: Final = select(groups.c.id).where(
    groups.c.ended_at.is_(None),
    func.coalesce(groups.c.halted_at, groups.c.cancel_requested_at).is_not(None),
)


class Member(NamedTuple):
    """One job of a group, in short."""

    job: str
    agent: str
    state: JobState
    attempt: int
    exit_code: int | None
    end_reason: EndReason | None
    end_detail: str | None
    started_at: float | None
    ended_at: float | None


class Groups(DefaultQueue):
    """The repository of groups."""

    async def _placed(self, wanted: GroupCreate) -> GroupCreate:
        (spec,) = await self.placed([wanted.spec])
        return wanted if spec is wanted.spec else wanted.model_copy(update={"spec": spec})

    async def submit_group(
        self,
        wanted: GroupCreate,
        now: float,
        by: Principal = SYSTEM,
        available: Collection[str] | None = None,
    ) -> tuple[Group, bool]:
        """Store a group with a job for each agent that serves the queue and has the labels; of
        those only the `available` ones, where given. The group, and whether it is new: one with a
        known idempotency key is not stored again.

        UnknownQueue; NoAgentMatches; Conflict when the key was used for something else, or too many
        members of other groups wait; JobTooLarge.
        """
        given, wanted = wanted, await self._placed(wanted)
        group = self._ulids.reserve(now, MAX_GROUP_MEMBERS)
        prepared = prepare(wanted, group, now, given.spec.names_queue)
        stored, made = await self._database.write(
            lambda tx: store_group(tx, prepared, available), by=by
        )
        return await self.group(stored), made

    async def matching_agents(
        self, wanted: GroupCreate, available: Collection[str] | None = None
    ) -> list[str]:
        """The agents that a group would have, by name. UnknownQueue."""

        wanted = await self._placed(wanted)

        def look(reader: Reader) -> list[str]:
            require_queues(reader, {wanted.spec.queue})
            return matching(reader, wanted, available)

        return await self._database.read(look, long=True)

    async def group(self, group: str) -> Group:
        """One group. NotFound."""
        row = await self._database.read(lambda reader: reader.one(GROUP, {"group": group}))
        if row is None:
            raise NotFound("group", group)
        return group_from(row)

    async def group_of_key(self, key: str, by: Principal) -> Group | None:
        """The group that `by` submitted with this idempotency key."""
        where = {"wanted": key, "submitter": by.text}
        row = await self._database.read(lambda reader: reader.one(_KEYED, where))
        return None if row is None else group_from(row)

    async def groups(
        self, limit: int, before: str | None = None, queues: Collection[str] | None = None
    ) -> list[Group]:
        """Groups of these queues, or of all, the newest first: those before an id."""
        where: dict[str, object] = {"before": before or "~", "count": limit}

        def find(reader: Reader) -> list[Group]:
            if queues is None:
                return [group_from(row) for row in reader.all(_PAGE, where)]
            return [
                group_from(row)
                for queue in queues
                for row in reader.all(_PAGE_OF, where | {"in_queue": queue})
            ]

        found = await self._database.read(find, long=True)
        return sorted(found, key=lambda group: group.id, reverse=True)[:limit]

    async def members(self, group: str, limit: int, last: str | None = None) -> list[Member]:
        """Members of a group in the order in which they start: those after a job's id."""
        where = {
            "group": group,
            "after": last or group,
            "beyond": beyond(group),
            "count": limit,
        }
        rows = await self._database.read(lambda reader: reader.all(_MEMBERS, where), long=True)
        return [
            Member(
                row.id,
                agent_of(row.demand),
                JobState(row.state),
                row.attempt,
                row.exit_code,
                None if row.end_reason is None else EndReason(row.end_reason),
                row.end_detail,
                row.started_at,
                row.ended_at,
            )
            for row in rows
        ]

    async def cancel_group(
        self, group: str, detail: str, now: float, by: Principal = SYSTEM
    ) -> Group:
        """Ask for the end of all members: from now on none is started, and `end_members` ends them.
        A group that has ended stays as it is. Repeating it changes nothing. NotFound."""

        def ask(tx: Transaction) -> None:
            found = locked_group(tx, group)
            if found is None:
                raise NotFound("group", group)
            tx.audit("group.cancel", "group", group, {"reason": detail, "was": found.state.value})
            if found.ended_at is None and found.cancel_requested_at is None:
                write_group(tx, replace(found, cancel_requested_at=now, cancel_detail=detail))
                tx.changes.stopping.add(group)

        await self._database.write(ask, by=by)
        return await self.group(group)

    async def stopped_groups(self) -> list[str]:
        """Groups that were stopped and have not ended."""
        rows = await self._database.read(lambda reader: reader.all(_STOPPED))
        return [str(row.id) for row in rows]

    async def end_members(self, group: str, now: float, last: str | None = None) -> str | None:
        """End members of a stopped group, at most BATCH of those after `last`: the ones that have
        not started; of a cancelled group also those that run. The last one; None: there is no
        other."""
        where = member_range(group) | {"after": last or group, "count": BATCH}

        def end(tx: Transaction) -> str | None:
            found = locked_group(tx, group)
            if found is None or not found.stopped:
                return None
            cancelled = found.cancel_requested_at is not None
            rows = tx.all(_UNFINISHED if cancelled else _UNSTARTED, where)
            why = why_stopped(found)
            for row in rows:
                cancel_job(tx, row.id, why, now)
            return str(rows[-1].id) if rows else None

        return await self._database.write(end)
