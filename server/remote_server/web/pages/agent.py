"""One agent: what it is, what it runs and ran, and what can be done with it."""

from __future__ import annotations

import time
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from remote_protocol.api.agents import AgentChange, AgentDrain, AgentPause
from remote_server.errors import NotFound, UnknownQueue
from remote_server.queries.jobs import job_views
from remote_server.store import JobFilter
from remote_server.web.access import ADMIN, OPERATOR, QUEUE_VIEWER, VIEWER
from remote_server.web.actions.agent_log import send_log
from remote_server.web.actions.agents import DRAIN, PAUSE, RESTART, RESUME, instruct, rotate_token
from remote_server.web.http.frames import TEXT
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages.agents import agent_rows
from remote_server.web.pages.charts import Line, line
from remote_server.web.pages.commands import keep_token, server_url
from remote_server.web.pages.given import (
    GivenCapacity,
    GivenLabels,
    GivenQueues,
    capacity_text,
    labels_text,
)
from remote_server.web.pages.rendering import HEADERS, PageShown, as_faults, go, render
from remote_server.web.route import Call, PageForm, Route

_RUNNING: Final = 20
_PAST: Final = 20
_LINES: Final = 200
_MOST: Final = 64 * 1024
"""Lines of an agent's own log, and their bytes, that its page shows."""
_HOUR: Final = 3600.0
_GAP: Final = 180.0
"""Seconds without a sample of the host's load after which a chart shows a gap."""
_UNPROCESSABLE: Final = 422


class AgentForm(PageForm):
    """The form that changes an agent. Without labels it has none."""

    queues: GivenQueues
    labels: GivenLabels = Field(default={})
    capacity: GivenCapacity


@Route("GET", "/agents/{name}", QUEUE_VIEWER, page=True, query=PageShown)
async def one_agent(call: Call) -> web.StreamResponse:
    """One agent with what it runs and ran."""
    call.query(PageShown)
    return await _page(call)


async def _page(call: Call, status: int = 200, **form: Any) -> web.Response:
    services = call.services
    found = await services.store.agent(call.path("name"))
    (agent,) = await agent_rows(services.sources, [found], call.fleet_role)
    view = agent.view
    jobs, _ = await services.store.jobs(
        JobFilter(agent=view.name), limit=_RUNNING + _PAST, cursor=None
    )
    ended = [job for job in jobs if job.state.terminal]
    held = []
    for job in view.jobs[:_RUNNING]:
        try:
            held.append(await services.store.job(job))
        except NotFound:  # it ended, and retention took it
            continue
    values: dict[str, Any] = {"given": {}, "faults": {}, **form}
    return render(
        call,
        "agent.html",
        status=status,
        agent=agent,
        running=await job_views(services.sources, held, values_shown=False),
        past=await job_views(services.sources, ended[:_PAST], values_shown=False),
        load_charts=[] if call.token.limited else _load_charts(call, view.name),
        own_log="" if call.token.limited else _last_lines(call, view.name),
        capacity=capacity_text(view.capacity),
        labels=labels_text(view.labels),
        **values,
    )


def _load_charts(call: Call, name: str) -> list[tuple[str, Line]]:
    """The last hour of its host, as charts."""
    hub = call.services.hub
    samples, now = hub.loads.since(name, _HOUR), hub.clock.boot()
    found = (
        ("CPU", line([(now - one.at, one.cpu) for one in samples], _HOUR, _GAP)),
        ("Memory", line([(now - one.at, one.memory) for one in samples], _HOUR, _GAP)),
        ("Disk", line([(now - one.at, one.disk) for one in samples], _HOUR, _GAP)),
    )
    return [(words, chart) for words, chart in found if chart is not None]


def _last_lines(call: Call, name: str) -> str:
    """The end of its own log, of which every redraw shows the newest lines."""
    logs = call.services.agent_logs
    text, offset = b"", logs.last(name, _LINES)
    while len(text) < _MOST:
        data, offset = logs.read(name, offset, _MOST - len(text))
        if not data:
            break
        text += data
    return text.decode(errors="replace")


@Route("GET", "/agents/{name}/log", VIEWER, page=True, query=PageShown, media=(TEXT,), lasting=True)
async def own_log(call: Call) -> web.StreamResponse:
    """All that is kept of an agent's own log, as plain text."""
    call.query(PageShown)
    agent = await call.services.store.agent(call.path("name"))
    headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8"}
    return await send_log(call, agent.name, 0, False, headers)


@Route("POST", "/agents/{name}/pause", OPERATOR, page=True, body=AgentPause, action="agent.pause")
async def pause(call: Call) -> web.StreamResponse:
    """Give an agent no new jobs."""
    name = call.path("name")
    await instruct(call, name, PAUSE, comment=call.form(AgentPause).comment)
    return go(call, f"agents/{name}", done="paused")


@Route("POST", "/agents/{name}/resume", OPERATOR, page=True, action="agent.resume")
async def resume(call: Call) -> web.StreamResponse:
    """Give an agent jobs again."""
    name = call.path("name")
    await instruct(call, name, RESUME)
    return go(call, f"agents/{name}", done="resumed")


@Route("POST", "/agents/{name}/drain", OPERATOR, page=True, body=AgentDrain, action="agent.drain")
async def drain(call: Call) -> web.StreamResponse:
    """Let an agent finish its jobs and exit."""
    name = call.path("name")
    await instruct(call, name, DRAIN, deadline=call.form(AgentDrain).deadline)
    return go(call, f"agents/{name}", done="draining")


@Route("POST", "/agents/{name}/restart", OPERATOR, page=True, action="agent.restart")
async def restart(call: Call) -> web.StreamResponse:
    """Restart an agent; its jobs run on."""
    name = call.path("name")
    await instruct(call, name, RESTART)
    return go(call, f"agents/{name}", done="restarting")


@Route("POST", "/agents/{name}/change", ADMIN, page=True, body=AgentForm, action="agent.update")
async def change(call: Call) -> web.StreamResponse:
    """Change an agent's queues, labels or capacity."""
    name = call.path("name")
    try:
        form = call.form(AgentForm)
        wanted = AgentChange(queues=form.queues, labels=form.labels, capacity=form.capacity)
        await call.services.store.update_agent(name, wanted, by=call.principal)
    except ApiProblem as problem:
        if not problem.errors:
            raise
        return await _page(call, problem.status, given=call.given_form, faults=as_faults(problem))
    except UnknownQueue as error:
        faults = {"queues": str(error)}
        return await _page(call, _UNPROCESSABLE, given=call.given_form, faults=faults)
    return go(call, f"agents/{name}", done="changed")


@Route("POST", "/agents/{name}/rotate-token", ADMIN, page=True, action="agent.rotate_token")
async def rotate(call: Call) -> web.StreamResponse:
    """Replace an agent's token, and show the new one: this once, and nowhere else."""
    name = call.path("name")
    text = await rotate_token(call, name)
    return render(call, "secret.html", **_new_token(server_url(call.request), name, text))


def _new_token(url: str, name: str, text: str) -> dict[str, Any]:
    return {
        "here": "agents",
        "title": f"The new token of {name}",
        "lead": f"The former tokens of {name} have ended, and its link is closed. It comes back "
        "when its host has the new one and the agent was started again:",
        "secret": text,
        "steps": [
            ("on the host of the agent", keep_token(text)),
            (
                "on the host of the agent",
                f"remote-agent register --server {url} --token-file token\nrm token",
            ),
        ],
        "back": (f"agents/{name}", f"Back to {name}"),
    }


@Route("POST", "/agents/{name}/delete", ADMIN, page=True, action="agent.delete")
async def delete(call: Call) -> web.StreamResponse:
    """Delete an agent and revoke its token."""
    await call.services.store.delete_agent(call.path("name"), time.time(), by=call.principal)
    return go(call, "agents", done="deleted")
