"""Agents: show, list, change, pause, drain, restart, delete."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from remote_client.modes import method, stream
from remote_client.resources.base import Resource, body_of
from remote_protocol.api.agents import AgentChange, AgentToken, AgentView
from remote_protocol.api.bodies import Page


class AgentMethods(Resource):
    """Calls about agents."""

    @method
    async def agents(self, limit: int = 200, cursor: str | None = None) -> Page[AgentView]:
        """One page of agents."""
        page = await self._calls.page("agents", limit=limit, cursor=cursor)
        return self._view(Page[AgentView], page)

    @method
    async def agent(self, name: str) -> AgentView:
        """One agent."""
        return self._view(AgentView, await self._calls.one("agents", name))

    @method
    async def change_agent(self, name: str, change: AgentChange) -> AgentView:
        """Change queues, labels or capacity; applied live."""
        return self._view(AgentView, await self._calls.change("agents", name, body_of(change)))

    @method
    async def pause_agent(self, name: str, comment: str = "") -> AgentView:
        """No new jobs for an agent; kept over restarts."""
        return self._view(
            AgentView, await self._calls.ask_agent(name, "pause", {"comment": comment})
        )

    @method
    async def resume_agent(self, name: str) -> AgentView:
        """Take pause and drain back."""
        return self._view(AgentView, await self._calls.ask_agent(name, "resume"))

    @method
    async def drain_agent(self, name: str, deadline: float | None = None) -> AgentView:
        """Let an agent finish its jobs, then exit; `deadline` seconds later they are cancelled."""
        return self._view(
            AgentView, await self._calls.ask_agent(name, "drain", {"deadline": deadline})
        )

    @method
    async def restart_agent(self, name: str) -> AgentView:
        """Have an agent's process make room for a new one; its jobs run on."""
        return self._view(AgentView, await self._calls.ask_agent(name, "restart"))

    @stream
    async def agent_log(
        self, name: str, tail: int | None = None, follow: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """The agent's own log as far as the server has it, whole lines or parts of them; with
        `follow` also what comes, for ever."""
        pieces = self._calls.agent_log(name, tail, follow)
        async for piece in pieces:
            yield piece

    @method
    async def rotate_agent_token(self, name: str) -> AgentToken:
        """A new token for an agent; the old one ends at once."""
        return self._view(AgentToken, await self._calls.rotate_agent_token(name))

    @method
    async def delete_agent(self, name: str) -> None:
        """Remove an agent and its token."""
        await self._calls.delete("agents", name)
