"""Agents as operators see them: list, show, change, delete, pause, resume, drain, restart, new
token."""

from __future__ import annotations

import time

from aiohttp import web

from remote_protocol.api.agents import AgentChange, AgentDrain, AgentPause, AgentToken, AgentView
from remote_protocol.api.bodies import Nothing, Page
from remote_protocol.errors import ErrorCode
from remote_server.domain.model import Agent
from remote_server.queries.agents import agent_views
from remote_server.web.access import ADMIN, OPERATOR, QUEUE_VIEWER
from remote_server.web.actions.agents import DRAIN, PAUSE, RESTART, RESUME, instruct
from remote_server.web.actions.agents import rotate_token as give_new_token
from remote_server.web.http.paging import decode, encode
from remote_server.web.route import Call, PageQuery, Route, answer, no_content


@Route("GET", "/api/v1/agents", QUEUE_VIEWER, query=PageQuery, answer=Page[AgentView])
async def list_agents(call: Call) -> web.StreamResponse:
    """List agents.

    By name.
    """
    query = call.query(PageQuery)
    after = "" if query.cursor is None else decode(query.cursor)
    agents = await call.services.store.agents(after, query.limit + 1)
    shown = agents[: query.limit]
    following = encode(shown[-1].name) if len(agents) > query.limit else None
    views = await agent_views(call.services.sources, shown, call.fleet_role)
    return answer(Page[AgentView].model_construct(items=views, next_cursor=following))


@Route("GET", "/api/v1/agents/{name}", QUEUE_VIEWER, answer=AgentView)
async def show(call: Call) -> web.StreamResponse:
    """Show an agent."""
    return await _shown(call, await call.services.store.agent(call.path("name")))


@Route(
    "PATCH",
    "/api/v1/agents/{name}",
    ADMIN,
    body=AgentChange,
    answer=AgentView,
    action="agent.update",
    refuses=(ErrorCode.CONFLICT, ErrorCode.UNKNOWN_QUEUE),
    example={"queues": ["default", "gpu"], "labels": {"disk": "ssd"}, "capacity": {"default": 4}},
)
async def change(call: Call) -> web.StreamResponse:
    """Change an agent's queues, labels or capacity."""
    body = await call.read(AgentChange)
    agent = await call.services.store.update_agent(call.path("name"), body, by=call.principal)
    return await _shown(call, agent)


@Route("DELETE", "/api/v1/agents/{name}", ADMIN, status=204, action="agent.delete")
async def delete(call: Call) -> web.StreamResponse:
    """Delete an agent and revoke its token."""
    await call.services.store.delete_agent(call.path("name"), time.time(), by=call.principal)
    return no_content()


@Route(
    "POST",
    "/api/v1/agents/{name}/pause",
    OPERATOR,
    body=AgentPause,
    body_optional=True,
    answer=AgentView,
    action="agent.pause",
    example={"comment": "new disk until noon"},
)
async def pause(call: Call) -> web.StreamResponse:
    """Give an agent no new jobs."""
    body = await call.read(AgentPause)
    agent = await instruct(call, call.path("name"), PAUSE, comment=body.comment)
    return await _shown(call, agent)


@Route(
    "POST",
    "/api/v1/agents/{name}/resume",
    OPERATOR,
    answer=AgentView,
    body=Nothing,
    body_optional=True,
    action="agent.resume",
)
async def resume(call: Call) -> web.StreamResponse:
    """Give a paused agent jobs again.

    Takes pause and drain back.
    """
    await call.read(Nothing)
    return await _shown(call, await instruct(call, call.path("name"), RESUME))


@Route(
    "POST",
    "/api/v1/agents/{name}/drain",
    OPERATOR,
    body=AgentDrain,
    body_optional=True,
    answer=AgentView,
    action="agent.drain",
    example={"deadline": "1h"},
)
async def drain(call: Call) -> web.StreamResponse:
    """Let an agent finish its jobs and exit."""
    body = await call.read(AgentDrain)
    agent = await instruct(call, call.path("name"), DRAIN, deadline=body.deadline)
    return await _shown(call, agent)


@Route(
    "POST",
    "/api/v1/agents/{name}/restart",
    OPERATOR,
    answer=AgentView,
    body=Nothing,
    body_optional=True,
    action="agent.restart",
    refuses=(ErrorCode.CONFLICT,),
)
async def restart(call: Call) -> web.StreamResponse:
    """Restart an agent; its jobs run on.

    One that is offline restarts when it comes back, unless it was started anew meanwhile.
    """
    await call.read(Nothing)
    return await _shown(call, await instruct(call, call.path("name"), RESTART))


@Route(
    "POST",
    "/api/v1/agents/{name}/rotate-token",
    ADMIN,
    answer=AgentToken,
    body=Nothing,
    body_optional=True,
    action="agent.rotate_token",
    refuses=(ErrorCode.CONFLICT,),
)
async def rotate_token(call: Call) -> web.StreamResponse:
    """Replace an agent's token.

    A new token; the old ones stop working at once.
    """
    await call.read(Nothing)
    name = call.path("name")
    return answer(AgentToken(name=name, token=await give_new_token(call, name)))


async def _shown(call: Call, agent: Agent) -> web.StreamResponse:
    return answer((await agent_views(call.services.sources, [agent], call.fleet_role))[0])
