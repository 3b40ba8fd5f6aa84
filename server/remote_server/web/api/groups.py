"""Groups: submit, explain, list, show, page through the members, cancel."""

from __future__ import annotations

import time

from aiohttp import web
from pydantic import field_validator

from remote_protocol.api.bodies import Page
from remote_protocol.api.groups import (
    GroupCreate,
    GroupDetail,
    GroupExplanation,
    GroupMember,
    GroupView,
)
from remote_protocol.api.jobs import Cancellation
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Name, is_ulid
from remote_protocol.limits import MAX_JOB_BODY
from remote_protocol.trace import HEADER
from remote_server.queries.groups import group_view, member_page, whole_group
from remote_server.web.access import QUEUE_OPERATOR, QUEUE_VIEWER
from remote_server.web.actions import groups as actions
from remote_server.web.api.jobs import with_key, with_trace
from remote_server.web.http.headers import header
from remote_server.web.http.paging import FOREIGN
from remote_server.web.route import Call, PageQuery, Route, answer

_EXAMPLE = {
    "spec": {"command": ["apt-get", "-y", "upgrade"], "queue": "default"},
    "select": {"labels": {"role": "web"}},
    "max_parallel": 5,
    "halt_on_failures": 1,
}


class MembersQuery(PageQuery):
    """The query of a group's members."""

    @field_validator("cursor")
    @classmethod
    def _made_here(cls, cursor: str | None) -> str | None:
        if cursor is not None and not is_ulid(cursor):
            raise ValueError(FOREIGN)
        return cursor


class GroupsQuery(MembersQuery):
    """The query of the list of groups."""

    queue: Name | None = None


@Route(
    "POST",
    "/api/v1/groups",
    QUEUE_OPERATOR,
    body=GroupCreate,
    answer=GroupDetail,
    status=201,
    largest=MAX_JOB_BODY,
    headers=("Idempotency-Key", HEADER),
    action="group.submit",
    operation="submit_group",
    also=((200, "The group that an earlier call with this key made"),),
    gives=("Location",),
    refuses=(
        *(ErrorCode.CONFLICT, ErrorCode.CONTENT_MISSING),
        *(ErrorCode.UNKNOWN_QUEUE, ErrorCode.UNKNOWN_AGENT),
    ),
    example=_EXAMPLE,
)
async def submit(call: Call) -> web.StreamResponse:
    """Submit one job for every agent that matches now.

    The agents are chosen, and all jobs stored, in one transaction. Jobs for agents that are offline
    wait.
    """
    wanted = await call.read(GroupCreate, call.services.config.limits.max_job_body)
    spec = with_trace(wanted.spec, call.request.headers.get(HEADER))
    key = header(call.request, "Idempotency-Key")
    if key is not None:
        spec = with_key(spec, key)
    group, made = await actions.submit(call, wanted.model_copy(update={"spec": spec}), time.time())
    view = await whole_group(call.services.sources, group, call.role, PageQuery().limit)
    headers = {"Location": f"/api/v1/groups/{group.id}"}
    return answer(view, 201 if made else 200, headers)


@Route(
    "POST",
    "/api/v1/groups/explain",
    QUEUE_VIEWER,
    body=GroupCreate,
    answer=GroupExplanation,
    largest=MAX_JOB_BODY,
    refuses=(ErrorCode.UNKNOWN_QUEUE,),
    example=_EXAMPLE,
)
async def explain(call: Call) -> web.StreamResponse:
    """Say which agents a group would have, without submitting it."""
    wanted = await call.read(GroupCreate, call.services.config.limits.max_job_body)
    return answer(await actions.explain(call, wanted))


@Route("GET", "/api/v1/groups", QUEUE_VIEWER, query=GroupsQuery, answer=Page[GroupView])
async def list_groups(call: Call) -> web.StreamResponse:
    """List groups, the newest first."""
    query = call.query(GroupsQuery)
    queues = None if query.queue is None else (query.queue,)
    found = await call.services.store.groups(query.limit + 1, query.cursor, queues)
    chosen = found[: query.limit]
    following = chosen[-1].id if len(found) > query.limit else None
    views = [group_view(group, call.role) for group in chosen]
    return answer(Page[GroupView].model_construct(items=views, next_cursor=following))


@Route("GET", "/api/v1/groups/{id}", QUEUE_VIEWER, query=MembersQuery, answer=GroupDetail)
async def show(call: Call) -> web.StreamResponse:
    """Show a group with a page of its members."""
    query = call.query(MembersQuery)
    group = await call.services.store.group(call.path("id"))
    sources = call.services.sources
    return answer(await whole_group(sources, group, call.role, query.limit, query.cursor))


@Route(
    "GET",
    "/api/v1/groups/{id}/members",
    QUEUE_VIEWER,
    query=MembersQuery,
    answer=Page[GroupMember],
    operation="list_group_members",
)
async def members(call: Call) -> web.StreamResponse:
    """List the members of a group, in the order in which they start."""
    query = call.query(MembersQuery)
    group = await call.services.store.group(call.path("id"))
    found, following = await member_page(call.services.sources, group, query.limit, query.cursor)
    return answer(Page[GroupMember].model_construct(items=found, next_cursor=following))


@Route(
    "POST",
    "/api/v1/groups/{id}/cancel",
    QUEUE_OPERATOR,
    body=Cancellation,
    body_optional=True,
    answer=GroupDetail,
    action="group.cancel",
    also=((202, "Its members still have to end; its state follows"),),
    example={"reason": "not needed any more"},
)
async def cancel(call: Call) -> web.StreamResponse:
    """Cancel a group: all of its jobs; 202 while some still have to end.

    A wish, kept until all have ended; again changes nothing.
    """
    body = await call.read(Cancellation)
    group = await actions.cancel(call, call.path("id"), body.reason)
    view = await whole_group(call.services.sources, group, call.role, PageQuery().limit)
    return answer(view, 202 if group.ended_at is None else 200)
