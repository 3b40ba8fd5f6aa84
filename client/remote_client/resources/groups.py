"""Groups: submit, explain, list, show, cancel."""

from __future__ import annotations

import json

from remote_client.modes import method
from remote_client.resources.base import Resource
from remote_protocol.api.bodies import Page
from remote_protocol.api.groups import (
    GroupCreate,
    GroupDetail,
    GroupExplanation,
    GroupMember,
    GroupView,
)


class GroupMethods(Resource):
    """Calls about groups: one job on every matching agent."""

    @method
    async def submit_group(self, group: GroupCreate) -> GroupDetail:
        """Submit one job for every agent that matches now; safe to repeat by its key."""
        return self._view(GroupDetail, await self._calls.submit_group(_body(group)))

    @method
    async def explain_group(self, group: GroupCreate) -> GroupExplanation:
        """Which agents a group would have; nothing is submitted."""
        return self._view(GroupExplanation, await self._calls.explain_group(_body(group)))

    @method
    async def groups(self, /, limit: int = 50, **filters: str | None) -> Page[GroupView]:
        """One page of groups, newest first; filters: queue, cursor."""
        found = await self._calls.page("groups", limit=limit, **filters)
        return self._view(Page[GroupView], found)

    @method
    async def group(self, group: str, *, persistent: bool = False) -> GroupDetail:
        """One group with the first page of its members."""
        return self._view(GroupDetail, await self._calls.group(group, persistent=persistent))

    @method
    async def group_members(
        self, group: str, limit: int = 1000, cursor: str | None = None
    ) -> Page[GroupMember]:
        """One page of a group's members, in the order in which they start."""
        found = await self._calls.group_members(group, limit=limit, cursor=cursor)
        return self._view(Page[GroupMember], found)

    @method
    async def cancel_group(self, group: str, reason: str = "") -> GroupDetail:
        """Wish that all jobs of a group end; its state follows when they have."""
        return self._view(GroupDetail, await self._calls.cancel_group(group, reason))


def _body(group: GroupCreate) -> dict[str, object]:
    body: dict[str, object] = json.loads(group.model_dump_json(exclude={"spec"}))
    return {**body, "spec": json.loads(group.spec.submission)}
