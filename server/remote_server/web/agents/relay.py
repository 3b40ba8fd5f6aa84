"""`POST /agent/relay/{attempt}`: a request of a job, sent on by its agent to where a relay leads.

Method, target and headers of the job's request are headers with a prefix (`remote_protocol.relay`).
Reads the store when the agent has no link.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_protocol.relay import MAX_RELAYED, MAX_TARGET, METHOD, METHODS, STATUS, TARGET, wrapped
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from remote_server.errors import NotFound
from remote_server.queries.metrics import RelayCounters
from remote_server.relays import Answer, Body, RelayError, takes_body, texts
from remote_server.web.access import AGENT
from remote_server.web.http.connection import Connection
from remote_server.web.http.frames import ClientGone
from remote_server.web.http.headers import header
from remote_server.web.http.problems import ApiProblem, forbidden
from remote_server.web.route import Call, Route

BYTES: Final = "application/octet-stream"
SILENCE: Final = 40.0
"""Seconds without a byte of the body after which it is given up: the agent does so sooner."""


@Route(
    "POST",
    "/api/v1/agent/relay/{attempt}",
    AGENT,
    takes=BYTES,
    body_optional=True,
    largest=MAX_RELAYED,
    media=(BYTES,),
    lasting=True,
    headers=(METHOD, TARGET),
    gives=(STATUS,),
    refuses=(ErrorCode.RELAY_FAILED, ErrorCode.RELAY_TIMEOUT),
    operation="relay_job_request",
)
async def relay(call: Call) -> web.StreamResponse:
    """Pass on a request of a job that has a relay.

    For the agent that runs this attempt. The answer of the program behind the relay is an answer
    with `Relayed-Status`; without that header it is this server's own.
    """
    request, services = call.request, call.services
    key, agent = _key(call.path("attempt")), call.token.agent or ""
    name = await _relay_of(call, key, agent)
    method, target = header(request, METHOD), header(request, TARGET, MAX_TARGET)
    if method not in METHODS or not target:
        raise ApiProblem(ErrorCode.BAD_REQUEST, f"{METHOD} and {TARGET} say what is asked for")
    if (request.content_length or 0) > MAX_RELAYED:
        raise _too_large()
    headers, size = texts(request.raw_headers), request.content_length
    counted = partial(services.gauges.relayed.sent, name)
    body = Body(_body(request, counted), size) if takes_body(method, size) else None
    with _counted(services.gauges.relayed, name), services.relays.taken(key, agent):
        if isinstance(request.protocol, Connection):
            # When the agent has left, nobody waits for the answer.
            request.protocol.stream = asyncio.current_task()
        try:
            async with services.relays.ask(name, method, target, headers, body) as answer:
                received = partial(services.gauges.relayed.received, name)
                return await _pass_on(call, answer, method, received)
        except TimeoutError:
            text = "nothing was heard of the program behind the relay for too long"
            raise ApiProblem(ErrorCode.RELAY_TIMEOUT, text, headers=_CLOSE) from None
        finally:
            if isinstance(request.protocol, Connection):
                request.protocol.stream = None


_CLOSE: Final = {"Connection": "close"}


@contextmanager
def _counted(counters: RelayCounters, name: str) -> Iterator[None]:
    """Count a request, and why it has failed if it does."""
    counters.request(name)
    try:
        yield
    except (RelayError, ApiProblem) as error:
        counters.failed(name, error.code)
        raise
    except (ConnectionError, asyncio.CancelledError):
        counters.failed(name, "agent_gone")
        raise
    except Exception:
        counters.failed(name, ErrorCode.INTERNAL)
        raise


async def _pass_on(
    call: Call, answer: Answer, method: str, count: Callable[[int], None]
) -> web.StreamResponse:
    response = web.StreamResponse(headers=CIMultiDict(wrapped(answer.headers)))
    response.headers[STATUS] = str(answer.status)
    response.content_type = BYTES
    bare = method == "HEAD" or answer.status in (204, 304)
    if bare or answer.length is not None:
        response.content_length = 0 if bare else answer.length
    call.opened = response
    await response.prepare(call.request)
    async for piece in answer.pieces():
        count(len(piece))
        await response.write(piece)
    await response.write_eof()
    return response


async def _body(request: web.Request, count: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The job's body, piece by piece. ApiProblem."""
    total = 0
    try:
        while not request.content.at_eof():
            async with asyncio.timeout(SILENCE):
                piece = await request.content.readany()
            total += len(piece)
            if total > MAX_RELAYED:
                raise _too_large()
            if piece:
                count(len(piece))
                yield piece
    except TimeoutError:
        text = "the body came too slowly, or not at all; send it again"
        raise ApiProblem(ErrorCode.REQUEST_TIMEOUT, text, headers=_CLOSE) from None
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise ClientGone("the body is not framed as its headers say") from error


def _too_large() -> ApiProblem:
    text = f"the body is larger than {MAX_RELAYED >> 20} MiB, the most that is relayed"
    return ApiProblem(ErrorCode.BODY_TOO_LARGE, text, headers=_CLOSE)


def _key(text: str) -> AttemptId:
    try:
        return AttemptId.parse(text)
    except ValueError:
        raise ApiProblem(ErrorCode.NOT_FOUND, "this path names no attempt") from None


async def _relay_of(call: Call, key: AttemptId, agent: str) -> str:
    """The relay of an attempt that this agent runs now. ApiProblem."""
    spec = await _running(call, key, agent)
    if spec is None:
        raise forbidden(f"attempt {key} does not run on the agent {agent!r}")
    if spec.relay is None:
        raise forbidden(f"the job of attempt {key} has no relay; submit it with one")
    if fault := call.services.relays.fault(spec.relay, spec.queue):
        raise forbidden(fault)
    return spec.relay


async def _running(call: Call, key: AttemptId, agent: str) -> JobSpec | None:
    """The job of an attempt, if the agent runs it. What its link knows is ahead of the database;
    an agent without a link, as after a restart of this server, is looked up there."""
    services = call.services
    if services.hub.holder(agent) is not None:
        return services.hub.running(agent, key)
    try:
        job = await services.store.job(key.job)
    except NotFound:
        return None
    held = job.agent == agent and job.attempt == key.number
    live = job.state in (JobState.ASSIGNED, JobState.RUNNING)
    return job.spec if held and live else None
