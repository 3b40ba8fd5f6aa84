"""Groups of somebody who is limited to some queues: those of others do not exist."""

from __future__ import annotations

from collections.abc import Collection

from remote_protocol.api.groups import GroupCreate
from remote_server.domain.groups import Group
from remote_server.domain.model import SYSTEM, Principal
from remote_server.errors import NotFound, UnknownQueue
from remote_server.queries.limited_fleet import LimitedFleet
from remote_server.store.groups import Member


class LimitedGroups(LimitedFleet):
    """The part of `LimitedStore` that is about groups."""

    async def group(self, group: str) -> Group:
        """One group. NotFound, also when it is of another queue."""
        found = await self._store.group(group)
        if found.queue not in self._limits.queues:
            raise NotFound("group", group)
        return found

    async def _has_group(self, group: str) -> bool:
        try:
            await self.group(group)
        except NotFound:
            return False
        return True

    async def groups(
        self, limit: int, before: str | None = None, queues: Collection[str] | None = None
    ) -> list[Group]:
        """Groups of these queues, the newest first."""
        wanted = self._limits.queues if queues is None else self._limits.queues & set(queues)
        return await self._store.groups(limit, before, wanted)

    async def members(self, group: str, limit: int, last: str | None = None) -> list[Member]:
        """Members of a group. NotFound."""
        await self.group(group)
        return await self._store.members(group, limit, last)

    async def waiting_agents(self, group: str) -> list[str]:
        """The agents for which members of a group wait. NotFound."""
        await self.group(group)
        return await self._store.waiting_agents(group)

    async def submit_group(
        self,
        wanted: GroupCreate,
        now: float,
        by: Principal = SYSTEM,
        available: Collection[str] | None = None,
    ) -> tuple[Group, bool]:
        """Store a group; see Groups. The agents of a queue are known to whoever may see it."""
        spec, known = wanted.spec, None
        if not spec.names_queue and spec.idempotency_key is not None:
            known = await self._store.group_of_key(spec.idempotency_key, by)
        if known is not None and await self._has_group(known.id):
            # Where the first one went; the default queue may be another one by now.
            spec = spec.model_copy(update={"queue": known.queue})
            wanted = wanted.model_copy(update={"spec": spec})
        for refused in await self._strangers([spec]):
            raise refused
        try:
            return await self._store.submit_group(wanted, now, by, available)
        except UnknownQueue as error:
            raise await self._narrowed(error) from None

    async def matching_agents(
        self, wanted: GroupCreate, available: Collection[str] | None = None
    ) -> list[str]:
        """The agents that a group would have; see Groups."""
        for refused in await self._strangers([wanted.spec]):
            raise refused
        return await self._store.matching_agents(wanted, available)

    async def cancel_group(
        self, group: str, detail: str, now: float, by: Principal = SYSTEM
    ) -> Group:
        """Ask for the end of a group's members; see Groups. NotFound."""
        await self.group(group)
        return await self._store.cancel_group(group, detail, now, by)
