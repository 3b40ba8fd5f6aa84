"""Health, readiness, version and the API's description."""

from __future__ import annotations

import asyncio

from aiohttp import web

import remote_server
from remote_protocol.api.bodies import View
from remote_protocol.api.server import VersionView
from remote_protocol.errors import ErrorCode
from remote_protocol.limits import PROTOCOL_VERSION
from remote_server.web.access import PUBLIC
from remote_server.web.http.problems import ApiProblem
from remote_server.web.openapi.document import PATH
from remote_server.web.route import JSON, Call, Route, answer


class Health(View):
    """Answer of `/healthz` and `/readyz`."""

    status: str
    """`ok`, or `low_disk`: everything but new jobs and logs is served."""
    detail: str = ""


@Route(
    "GET",
    "/healthz",
    PUBLIC,
    answer=Health,
    operation="get_health",
)
async def healthz(call: Call) -> web.StreamResponse:
    """Whether the process answers."""
    return answer(_health(call))


def _health(call: Call) -> Health:
    # Not a failure: a balancer that sent agents and readers away would help nobody.
    lack = call.services.reserve.lack()
    return Health(status="low_disk", detail=lack) if lack else Health(status="ok")


@Route(
    "GET",
    "/readyz",
    PUBLIC,
    answer=Health,
    operation="get_readiness",
)
async def readyz(call: Call) -> web.StreamResponse:
    """Whether the server can work.

    The database answers too, and the server is not stopping.
    """
    if call.services.followers.closing:
        raise ApiProblem(ErrorCode.STORE_UNAVAILABLE, "the server is stopping")
    fault = await call.services.readiness.fault(call.services.store.probe)
    if fault is not None:
        raise ApiProblem(ErrorCode.STORE_UNAVAILABLE, fault, headers={"Retry-After": "5"})
    return answer(_health(call))


@Route("GET", "/api/v1/version", PUBLIC, answer=VersionView)
async def version(call: Call) -> web.StreamResponse:
    """What this server is."""
    return answer(
        VersionView(
            version=remote_server.__version__,
            protocol=PROTOCOL_VERSION,
        )
    )


@Route(
    "GET",
    PATH,
    PUBLIC,
    media=(JSON,),
    operation="get_openapi",
)
async def describe(call: Call) -> web.StreamResponse:
    """This API as an OpenAPI 3.1 document."""
    body = await asyncio.to_thread(call.services.description)
    return web.Response(body=body, headers={"Content-Type": JSON})
