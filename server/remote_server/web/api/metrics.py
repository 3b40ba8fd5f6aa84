"""Metrics for Prometheus."""

from __future__ import annotations

from aiohttp import web

from remote_server.queries.gauges import scrape
from remote_server.queries.metrics import CONTENT_TYPE
from remote_server.web.access import PUBLIC, VIEWER
from remote_server.web.http.headers import header
from remote_server.web.route import Call, Route


@Route("GET", "/metrics", PUBLIC, media=(CONTENT_TYPE.split(";")[0],))
async def metrics(call: Call) -> web.StreamResponse:
    """Metrics for Prometheus; needs a viewer's token unless open_metrics is set."""
    services = call.services
    if not services.config.server.open_metrics:
        await services.authenticator.admit(header(call.request, "Authorization"), VIEWER)
    text = (
        await scrape(services.sources, services.logs, services.reserve) + services.gauges.render()
    )
    return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})
