"""Agents: all of them, those that somebody looks for, and what can be done with several at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field

import remote_server
from remote_protocol.api.agents import AgentView
from remote_protocol.ids import Name, Role
from remote_protocol.parts import Comment
from remote_protocol.quantities import Duration
from remote_server.domain.model import Agent
from remote_server.queries.agents import agent_views
from remote_server.queries.fleet import HELD, Wanted, chosen, condition_of, tally
from remote_server.queries.sources import Sources
from remote_server.web.access import OPERATOR, QUEUE_VIEWER
from remote_server.web.actions.agents import instruct_all
from remote_server.web.http.paging import page
from remote_server.web.pages.commands import enrol, make_registration_token, server_url
from remote_server.web.pages.places import Places, places, used_of
from remote_server.web.pages.rendering import PageShown, go, render
from remote_server.web.route import Call, PageForm, Route

SHOWN: Final = 50
"""Agents on one page of the list."""
_OFFERED: Final = 100
"""Queues that the filter proposes."""
_DONE: Final = {"pause": "paused", "resume": "resumed", "drain": "draining"}


class AgentsQuery(PageShown):
    """Which agents the list shows."""

    q: str = Field(default="", max_length=128)
    state: Literal["", "online", "stale", "offline", "held"] = ""
    queue: str = Field(default="", max_length=128)
    label: str = Field(default="", max_length=300)
    version: str = Field(default="", max_length=128)
    cursor: str = Field(default="", max_length=1024)

    @property
    def wanted(self) -> Wanted:
        """The filter."""
        return Wanted(self.q.strip(), self.state, self.queue.strip(), self.label, self.version)

    def address(self, **changed: str) -> str:
        """The query of another view of the list; without the place in it."""
        now = self.model_dump(exclude={"done", "cursor"}) | changed
        return urlencode({name: value for name, value in now.items() if value})


class BulkForm(PageForm):
    """What to do with the agents that were ticked."""

    agent: list[Name] = Field(default=[], max_length=SHOWN)
    act: Literal["pause", "resume", "drain"]
    comment: Comment = ""
    deadline: Duration | None = None


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent as pages draw it."""

    view: AgentView
    row: Agent
    places: Places

    @property
    def condition(self) -> str:
        """How it is, in a word."""
        view = self.view
        return condition_of(
            view.state,
            paused=view.paused,
            draining=view.draining,
            accepting=view.condition.accepting,
        )

    @property
    def words(self) -> str:
        """The same for people."""
        return "takes no jobs" if self.condition == "warning" else self.condition

    @property
    def other_version(self) -> bool:
        """Whether it runs another version than the server."""
        return bool(self.view.version) and self.view.version != remote_server.__version__

    @property
    def host(self) -> str:
        """What it runs on, in short."""
        platform = self.view.platform
        return " · ".join(part for part in (platform.system, platform.machine) if part)


async def agent_rows(
    sources: Sources, agents: list[Agent], role: Role | None = None
) -> list[AgentRow]:
    """Agents as pages draw them for whoever has a role."""
    rows = []
    for agent, view in zip(agents, await agent_views(sources, agents, role), strict=True):
        used = used_of(sources.agents.slot(agent.name), view.running)
        held = view.state != "online" or _is_held(view)
        rows.append(AgentRow(view, agent, places(view.capacity, used, held)))
    return rows


def _is_held(view: AgentView) -> bool:
    condition = condition_of(
        view.state, paused=view.paused, draining=view.draining, accepting=view.condition.accepting
    )
    return condition in HELD


@Route("GET", "/agents", QUEUE_VIEWER, page=True, query=AgentsQuery)
async def all_agents(call: Call) -> web.StreamResponse:
    """The agents that the filter leaves, a page of them."""
    query = call.query(AgentsQuery)
    services = call.services
    members = await services.fleet.members()
    wanted = query.wanted
    found = await chosen(members, wanted)
    shown, following = page(found, lambda member: member.row.name, SHOWN, query.cursor or None)
    agents = await services.store.agents_named([member.row.name for member in shown])
    queues = await services.store.queues() if members else []
    url = server_url(call.request)
    return render(
        call,
        "agents.html",
        query=query,
        tally=tally(members),
        found=len(found),
        rows=await agent_rows(services.sources, agents),
        following=following,
        queues=[queue.name for queue in queues[:_OFFERED]],
        filtered=wanted != Wanted(),
        address=query.address,
        commands={"token": make_registration_token(url), "enrol": enrol(url)},
    )


@Route(
    "POST",
    "/agents",
    OPERATOR,
    page=True,
    body=BulkForm,
    query=AgentsQuery,
    action="agent.instruct",
)
async def act_on_several(call: Call) -> web.StreamResponse:
    """Pause, resume or drain the agents that were ticked."""
    query = call.query(AgentsQuery)
    form = call.form(BulkForm)
    count = await instruct_all(
        call, form.agent, form.act, comment=form.comment, deadline=form.deadline
    )
    changed: dict[str, Any] = {"cursor": query.cursor} if query.cursor else {}
    back = query.address(**changed)
    return go(call, f"agents?{back}" if back else "agents", done=_DONE[form.act] if count else "")
