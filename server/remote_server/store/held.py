"""Members of groups that wait for their turn, kept in memory for the dispatcher. Queries live here.

They are read once, group by group, and follow each commit; after a failure they are read again.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from sqlalchemy import bindparam, literal_column, select

from remote_server.domain.change_set import ChangeSet, Held
from remote_server.domain.demand import demand_from
from remote_server.domain.held_members import HeldGroup, HeldMembers
from remote_server.store.members import MEMBER_RANGE, agent_of, find_group, member_range
from remote_server.store.ports import Reader, Row
from remote_server.store.repository import Repository, is_state
from remote_server.store.schema import groups, jobs

_WITH_HELD: Final = select(groups.c.id).where(
    groups.c.ended_at.is_(None), groups.c.queued > literal_column("0")
)
_HELD: Final = (
    select(jobs.c.id, jobs.c.demand, jobs.c.priority, jobs.c.not_before)
    .where(*MEMBER_RANGE, is_state(jobs.c.state, "queued"))
    .order_by(jobs.c.id)
)
_AGENTS: Final = (
    select(jobs.c.demand)
    .where(*MEMBER_RANGE, is_state(jobs.c.state, "queued"), jobs.c.id > bindparam("after"))
    .order_by(jobs.c.id)
)


class HeldJobs(Repository):
    """The repository of members that wait for their turn."""

    _held: HeldMembers | None = None

    def forget_held(self) -> None:
        """Read them again at the next need: a commit failed."""
        self._held = None

    def follow_held(self, changes: ChangeSet) -> None:
        """Bring them up to date after a commit."""
        if self._held is not None:
            self._held.follow(changes)

    async def held_members(self) -> HeldMembers:
        """All members that wait for their turn; it changes with the commits."""
        while self._held is None or self._held.unknown:
            # Again, when what was read was doubted before it was looked at.
            if self._held is None:
                await self._database.read(
                    lambda reader: reader.all(_WITH_HELD), then=self._found_groups
                )
            else:
                group = min(self._held.unknown)
                await self._database.read(
                    partial(_held_group, group), then=partial(self._found_group, group)
                )
        return self._held

    @property
    def held_now(self) -> HeldMembers | None:
        """The same, where nothing has to be read for it."""
        return None if self._held is None or self._held.unknown else self._held

    async def waiting_agents(self, group: str) -> list[str]:
        """The agents for which members of a group wait, in the order of the members."""
        where = member_range(group) | {"after": group}
        rows = await self._database.read(lambda reader: reader.all(_AGENTS, where), long=True)
        return [agent_of(row.demand) for row in rows]

    # Called in the order of the commits, so that each of them is either read or followed.

    def _found_groups(self, rows: list[Row]) -> None:
        self._held = HeldMembers(row.id for row in rows)

    def _found_group(self, group: str, found: HeldGroup | None) -> None:
        if self._held is not None:
            self._held.learn(group, found)


def _held_group(group: str, reader: Reader) -> HeldGroup | None:
    known = find_group(reader, group)
    rows = reader.all(_HELD, member_range(group)) if known is not None else []
    if known is None or not rows:
        return None
    demand = demand_from(rows[0].demand)._replace(agent=None)
    held = {agent_of(row.demand): Held(row.id, row.not_before) for row in rows}
    found = HeldGroup(demand, rows[0].priority, known.room, held)
    found.stopped = known.stopped
    return found
