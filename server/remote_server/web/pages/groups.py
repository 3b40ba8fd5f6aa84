"""A group: how far it is, its members, and its cancellation."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from remote_protocol.api.groups import GroupMember
from remote_protocol.api.jobs import Cancellation
from remote_protocol.states import JobState
from remote_server.queries.groups import whole_group
from remote_server.web.access import QUEUE_OPERATOR, QUEUE_VIEWER
from remote_server.web.actions import groups as actions
from remote_server.web.pages.rendering import PageShown, go, render
from remote_server.web.route import Call, Route

SHOWN: Final = 100
"""Members on one page."""
_STATES: Final = (
    ("Queued", (JobState.QUEUED,)),
    ("Running", (JobState.ASSIGNED, JobState.RUNNING)),
    ("Succeeded", (JobState.SUCCEEDED,)),
    ("Failed", (JobState.FAILED,)),
    ("Cancelled", (JobState.CANCELLED,)),
)


class GroupShown(PageShown):
    """The query of a group's page."""

    after: str = Field(default="", max_length=26)
    """The job after which the list begins."""


@Route("GET", "/groups/{id}", QUEUE_VIEWER, page=True, query=GroupShown)
async def one_group(call: Call) -> web.StreamResponse:
    """One group with its members."""
    query = call.query(GroupShown)
    found = await call.services.store.group(call.path("id"))
    after = query.after or None
    group = await whole_group(call.services.sources, found, call.role, SHOWN, after)
    counts = [
        (words, ",".join(states), sum(group.counts[state] for state in states))
        for words, states in _STATES
    ]
    return render(
        call,
        "group.html",
        group=group,
        counts=counts,
        took={one.job: _took(one) for one in group.members},
        after=after,
    )


def _took(member: GroupMember) -> float | None:
    """Seconds that it ran; None when it has not run, or runs."""
    if member.started_at is None or member.ended_at is None:
        return None
    return max(0.0, (member.ended_at - member.started_at).total_seconds())


@Route(
    "POST",
    "/groups/{id}/cancel",
    QUEUE_OPERATOR,
    page=True,
    body=Cancellation,
    action="group.cancel",
)
async def cancel(call: Call) -> web.StreamResponse:
    """Cancel all jobs of a group."""
    group = await actions.cancel(call, call.path("id"), call.form(Cancellation).reason)
    return go(call, f"groups/{group.id}", done="cancelled")
