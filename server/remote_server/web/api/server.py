"""Health, readiness, version, metrics, the API's description and the front page."""

from __future__ import annotations

import time
from collections import Counter

from aiohttp import web

import remote_server
from remote_protocol.api import VersionView, View
from remote_protocol.errors import ErrorCode
from remote_protocol.limits import OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION
from remote_protocol.states import AgentState, JobState
from remote_server.queries.metrics import CONTENT_TYPE, family
from remote_server.web import openapi
from remote_server.web.access import PUBLIC, VIEWER
from remote_server.web.http.frames import accepted
from remote_server.web.http.headers import header
from remote_server.web.http.problems import ApiProblem
from remote_server.web.route import JSON, Call, Route, answer

_PAGE = """<!doctype html><meta charset="utf-8"><title>remote-server</title>
<h1>remote-server {version}</h1>
<p>This is the server of remote agents. Use it with <code>remotectl</code>, or by its API:
<a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.
Its health: <a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a>.</p>
"""


class Health(View):
    """Answer of `/healthz` and `/readyz`."""

    status: str
    """`ok`, or `low_disk`: everything but new jobs and logs is served."""
    detail: str = ""


class FrontPage(View):
    """Answer of `/` to programs."""

    product: str = "remote-server"
    version: str
    openapi: str = openapi.PATH


@Route("GET", "/healthz", PUBLIC, answer=Health)
async def healthz(call: Call) -> web.StreamResponse:
    """Whether the process answers."""
    return answer(_health(call))


def _health(call: Call) -> Health:
    # Not a failure: a balancer that sent agents and readers away would help nobody.
    lack = call.services.logs.reserve.lack()
    return Health(status="low_disk", detail=lack) if lack else Health(status="ok")


@Route("GET", "/readyz", PUBLIC, answer=Health)
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
            protocol_oldest=OLDEST_PROTOCOL_VERSION,
            protocol_newest=PROTOCOL_VERSION,
        )
    )


@Route("GET", openapi.PATH, PUBLIC, media=(JSON,))
async def describe(call: Call) -> web.StreamResponse:
    """This API as an OpenAPI 3.1 document."""
    return web.Response(body=call.services.description, headers={"Content-Type": JSON})


@Route("GET", "/", PUBLIC, answer=FrontPage)
async def front_page(call: Call) -> web.StreamResponse:
    """Where to go from here."""
    if accepted(call.request, (JSON, "text/html")) == JSON:
        return answer(FrontPage(version=remote_server.__version__))
    text = _PAGE.format(version=remote_server.__version__)
    return web.Response(text=text, content_type="text/html")


@Route("GET", "/metrics", PUBLIC, media=(CONTENT_TYPE.split(";")[0],))
async def metrics(call: Call) -> web.StreamResponse:
    """Metrics for Prometheus; needs a viewer's token unless open_metrics is set."""
    if not call.services.config.server.open_metrics:
        await call.services.authenticator.admit(header(call.request, "Authorization"), VIEWER)
    body = await _gauges(call) + call.services.gauges.render()
    return web.Response(body=body.encode(), headers={"Content-Type": CONTENT_TYPE})


async def _gauges(call: Call) -> str:
    store, hub = call.services.store, call.services.hub
    now = time.time()
    counts = await store.counts()
    queues = [queue.name for queue in await store.queues()]
    oldest = {name: await store.oldest(name) for name in queues}
    agents = Counter(hub.state_of(agent.name) for agent in await store.agents())
    jobs = sorted(((str(state), queue), n) for (queue, state), n in counts.items())
    depth = [((name,), counts.get((name, JobState.QUEUED), 0)) for name in queues]
    ages = [((name,), 0.0 if at is None else max(0.0, now - at)) for name, at in oldest.items()]
    states = [((str(state),), agents[state]) for state in AgentState]
    received = [((), call.services.logs.received)]
    reserve = call.services.logs.reserve
    low = [((), float(bool(reserve.lack())))]
    queue = ("queue",)
    return "".join(
        (
            family("remote_jobs", "gauge", "Jobs.", ("state", "queue"), jobs),
            family("remote_queue_depth", "gauge", "Jobs that wait.", queue, depth),
            family(
                "remote_queue_oldest_seconds",
                "gauge",
                "Age of the oldest job that waits; 0 when none does.",
                queue,
                ages,
            ),
            family("remote_agents", "gauge", "Registered agents.", ("state",), states),
            family(
                "remote_log_bytes_total",
                "counter",
                "Log bytes received from agents since the start.",
                (),
                received,
            ),
            family(
                "remote_input_bytes_total",
                "counter",
                "Bytes of jobs' inputs received since the start.",
                (),
                [((), call.services.inputs.received)],
            ),
            family(
                "remote_disk_free_bytes",
                "gauge",
                "Free bytes of the disk with the logs.",
                (),
                [((), reserve.free)],
            ),
            family("remote_disk_low", "gauge", "1 while the disk is below its reserve.", (), low),
            family(
                "remote_logs_incomplete_total",
                "counter",
                "Attempts settled without their whole log since the start.",
                (),
                [((), call.services.logs.torn)],
            ),
        )
    )
