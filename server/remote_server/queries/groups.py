"""Groups as shown: their counts, their members, and whom they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from remote_protocol.api.groups import (
    GroupDetail,
    GroupExplanation,
    GroupMember,
    GroupSelection,
    GroupView,
    UnavailableAgent,
)
from remote_protocol.ids import Role
from remote_protocol.states import JobState
from remote_server.domain.allowed_actions import on_group
from remote_server.domain.groups import Group
from remote_server.queries.sources import Slots, Sources
from remote_server.queries.views import actor_view, when, when_if
from remote_server.slices import slices
from remote_server.store.groups import Member

MOST_NAMED: Final = 20
"""Agents that are named one by one."""
MOST_LISTED: Final = 1000
"""Agents of an explanation."""


def group_view(group: Group, role: Role | None) -> GroupView:
    """A group as a list shows it to whoever has a role."""
    return GroupView(**_values(group, role))


def _values(group: Group, role: Role | None) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "state": group.state,
        "queue": group.queue,
        "select": GroupSelection(labels=dict(group.labels), online_only=group.online_only),
        "max_parallel": group.max_parallel,
        "halt_on_failures": group.halt_on_failures,
        "size": group.size,
        "counts": dict(group.counts),
        "halted_at": when_if(group.halted_at),
        "cancel_requested": group.cancel_requested_at is not None,
        "cancel_detail": group.cancel_detail,
        "created_at": when(group.created_at),
        "ended_at": when_if(group.ended_at),
        "submitted_by": actor_view(group.submitted_by),
        "allowed_actions": on_group(role, group.ended_at is not None),
    }


def member_view(member: Member) -> GroupMember:
    """A member as shown."""
    return GroupMember(
        job=member.job,
        agent=member.agent,
        state=member.state,
        attempt=member.attempt,
        exit_code=member.exit_code,
        end_reason=member.end_reason,
        end_detail=member.end_detail,
        started_at=when_if(member.started_at),
        ended_at=when_if(member.ended_at),
    )


async def whole_group(
    sources: Sources, group: Group, role: Role | None, limit: int, cursor: str | None = None
) -> GroupDetail:
    """A group with a page of its members, and the agents that its waiting ones cannot get now."""
    members, following = await member_page(sources, group, limit, cursor)
    away: list[UnavailableAgent] = []
    if group.counts[JobState.QUEUED]:
        away = await unavailable(sources.agents, await sources.store.waiting_agents(group.id))
    return GroupDetail(
        **_values(group, role),
        unavailable=len(away),
        unavailable_agents=away[:MOST_NAMED],
        members=members,
        next_cursor=following,
    )


async def member_page(
    sources: Sources, group: Group, limit: int, cursor: str | None
) -> tuple[list[GroupMember], str | None]:
    """A page of members, and the cursor of the next one."""
    found = await sources.store.members(group.id, limit + 1, cursor)
    views = [member_view(member) async for part in slices(found[:limit]) for member in part]
    return views, found[limit - 1].job if len(found) > limit else None


async def explanation(sources: Sources, queue: str, names: Sequence[str]) -> GroupExplanation:
    """Which agents a group would have."""
    away = await unavailable(sources.agents, names)
    return GroupExplanation(
        queue=queue,
        size=len(names),
        agents=list(islice(names, MOST_LISTED)),
        unavailable=len(away),
        unavailable_agents=away[:MOST_NAMED],
    )


async def unavailable(links: Slots, names: Sequence[str]) -> list[UnavailableAgent]:
    """Those of these agents that would take no job now, and why."""
    found = []
    async for part in slices(names):
        for name in part:
            slot = links.slot(name)
            if slot is None:
                found.append(UnavailableAgent(agent=name, reason="offline"))
            elif not slot.eligible:
                reason = slot.reason or "not accepting jobs"
                found.append(UnavailableAgent(agent=name, reason=reason))
    return found


async def available(links: Slots, names: Sequence[str]) -> frozenset[str]:
    """The others."""
    away = {one.agent for one in await unavailable(links, names)}
    return frozenset(name for name in names if name not in away)
