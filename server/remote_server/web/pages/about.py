"""What this server is, and the address of anything by its name."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web
from pydantic import Field

from remote_protocol.ids import is_ulid
from remote_server.errors import NotFound
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.pages.rendering import PageShown, go, render
from remote_server.web.route import Call, Query, Route


class GoQuery(Query):
    """The query of `/go`."""

    to: str = Field(default="", max_length=256)


@Route("GET", "/about", QUEUE_VIEWER, page=True, query=PageShown)
async def about(call: Call) -> web.StreamResponse:
    """The server's version and settings, and who is signed in."""
    call.query(PageShown)
    return render(call, "about.html", config=call.services.config)


@Route("GET", "/go", QUEUE_VIEWER, page=True, query=GoQuery)
async def go_to(call: Call) -> web.StreamResponse:
    """Send the browser to the agent, the queue or the job that has this name."""
    wanted = call.query(GoQuery).to.strip()
    store = call.services.store
    if is_ulid(wanted.upper()):
        return go(call, f"jobs/{wanted.upper()}")
    for find, path in ((store.agent, "agents"), (store.queue, "queues")):
        try:
            return go(call, f"{path}/{quote((await find(wanted)).name)}")
        except NotFound:
            pass
    return go(call, f"jobs?name={quote(wanted, safe='')}" if wanted else "jobs")
