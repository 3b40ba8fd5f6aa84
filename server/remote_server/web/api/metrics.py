"""Metrics for Prometheus."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from remote_protocol.errors import ErrorCode
from remote_protocol.metrics import CONTENT_TYPE, PATHS, text_of
from remote_server.web.access import PUBLIC, VIEWER
from remote_server.web.http.headers import header
from remote_server.web.route import Call, Route

_MEDIA: Final = (CONTENT_TYPE.split(";")[0],)


@Route(
    "GET",
    PATHS[0],
    PUBLIC,
    media=_MEDIA,
    operation="get_metrics",
    refuses=(
        ErrorCode.MISSING_TOKEN,
        ErrorCode.INVALID_TOKEN,
        ErrorCode.EXPIRED_TOKEN,
        ErrorCode.WRONG_TOKEN_KIND,
        ErrorCode.TOO_MANY_REQUESTS,
    ),
)
async def metrics(call: Call) -> web.StreamResponse:
    """Metrics for Prometheus; needs a viewer's token unless open_metrics is set."""
    services = call.services
    if not services.config.server.open_metrics:
        await services.authenticator.admit(
            header(call.request, "Authorization"), VIEWER, call.request.remote or ""
        )
    text = text_of(await services.metrics.families())
    return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


@Route(
    "GET",
    PATHS[1],
    PUBLIC,
    media=_MEDIA,
    operation="get_telemetry",
    refuses=(
        ErrorCode.MISSING_TOKEN,
        ErrorCode.INVALID_TOKEN,
        ErrorCode.EXPIRED_TOKEN,
        ErrorCode.WRONG_TOKEN_KIND,
        ErrorCode.TOO_MANY_REQUESTS,
    ),
)
async def telemetry(call: Call) -> web.StreamResponse:
    """The same as `/metrics`, by the name that agents have it under, too."""
    return await metrics.handler(call)
