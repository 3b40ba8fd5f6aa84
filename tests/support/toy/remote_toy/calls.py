"""A call of the API about toys."""

from __future__ import annotations

from aiohttp import web

from remote_server.web.access import VIEWER
from remote_server.web.route import Call, Route


@Route("GET", "/api/v1/toys", VIEWER, operation="list_toys")
async def toys(call: Call) -> web.StreamResponse:
    """What toys there are."""
    return web.json_response({"toys": ["toy"]})
