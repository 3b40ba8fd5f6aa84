"""`GET /agents/{name}/log`: the agent's own log, as it has sent it; live with follow=true."""

from __future__ import annotations

from typing import Self

from aiohttp import web
from pydantic import Field, model_validator

from remote_server.web.access import VIEWER
from remote_server.web.actions.agent_log import send_log
from remote_server.web.http.frames import TEXT
from remote_server.web.route import Call, Query, Route


class AgentLogQuery(Query):
    """The query of an agent's log."""

    follow: bool = False
    """Go on with what comes; the answer never ends."""
    offset: int = Field(default=0, ge=0, lt=1 << 62)
    """A position in all that the agent ever sent; older ones than are kept mean what is kept."""
    tail: int | None = Field(default=None, ge=0, le=100_000)
    """Only the last lines."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.offset and self.tail is not None:
            raise ValueError("give an offset or tail: both say where to start")
        return self


@Route(
    "GET",
    "/api/v1/agents/{name}/log",
    VIEWER,
    query=AgentLogQuery,
    media=(TEXT,),
    lasting=True,
    gives=("Remote-Log-Offset", "Remote-Log-Size"),
)
async def agent_log(call: Call) -> web.StreamResponse:
    """The agent's own log, live with follow=true.

    `Remote-Log-Offset` says where the answer begins.
    """
    query = call.query(AgentLogQuery)
    agent = await call.services.store.agent(call.path("name"))
    offset = query.offset
    if query.tail is not None:
        offset = call.services.agent_logs.last(agent.name, query.tail)
    return await send_log(call, agent.name, offset, query.follow, {})
