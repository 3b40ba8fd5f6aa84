"""The input of a job: sent in parts, each at its offset; nobody can read it here."""

from __future__ import annotations

import time

from aiohttp import web
from pydantic import Field

from remote_protocol.api.inputs import InputView
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role
from remote_protocol.limits import MAX_INPUT_PART
from remote_server.domain.model import Job
from remote_server.inputs import Input
from remote_server.queries.views import input_view
from remote_server.web.access import QUEUE_OPERATOR
from remote_server.web.http.problems import ApiProblem, forbidden
from remote_server.web.route import Call, Query, Route, answer

BYTES = "application/octet-stream"


class InputQuery(Query):
    """The query of `PATCH /jobs/{id}/input`."""

    offset: int = Field(ge=0, lt=1 << 63)
    """Where the part belongs: bytes that the server has already are passed over."""
    end: bool = False
    """Nothing follows: the job sees the end of its input once it has read it all."""


@Route(
    "PATCH",
    "/api/v1/jobs/{id}/input",
    QUEUE_OPERATOR,
    query=InputQuery,
    takes=BYTES,
    body_optional=True,
    largest=MAX_INPUT_PART,
    answer=InputView,
    action="job.input",
    operation="send_job_input",
    refuses=(ErrorCode.CONFLICT, ErrorCode.INPUT_GAP),
)
async def send(call: Call) -> web.StreamResponse:
    """Send a part of a job's input.

    A part of the input, or none to say that more may come.

    Answered when it is durable. Sent again, it changes nothing.
    """
    query = call.query(InputQuery)
    part = await call.read_bytes()
    job = await _open_job(call)
    inputs = call.services.inputs
    before = inputs.expect(job.id)
    state = await inputs.append(job.id, query.offset, part, query.end)
    if state.ended and not before.ended:
        said = f"{state.size} bytes"
        await call.services.store.input_ended(job.id, said, time.time(), by=call.principal)
    return _shown(call, state)


@Route(
    "GET",
    "/api/v1/jobs/{id}/input",
    QUEUE_OPERATOR,
    answer=InputView,
    refuses=(ErrorCode.CONFLICT,),
)
async def show(call: Call) -> web.StreamResponse:
    """How much of a job's input has arrived.

    How much of it is here; where to go on after a cut.
    """
    job = await _open_job(call)
    return _shown(call, call.services.inputs.expect(job.id))


def _shown(call: Call, state: Input) -> web.StreamResponse:
    return answer(input_view(state, call.services.config.limits.input_ttl))


async def _open_job(call: Call) -> Job:
    """The job, which takes an input and has not ended. ApiProblem."""
    job = await call.services.store.job(call.path("id"))
    if not job.spec.stdin:
        raise ApiProblem(
            ErrorCode.CONFLICT,
            f'job {job.id} takes no input; submit it with "stdin": true',
        )
    owner, token = job.submitted_by, call.token
    if owner is not None and owner.id != token.id and token.role is not Role.ADMIN:
        raise forbidden(
            f"the input of job {job.id} comes from whoever submitted it, the token "
            f"{owner.name!r}, or from an admin"
        )
    if job.state.terminal:
        raise ApiProblem(ErrorCode.CONFLICT, f"job {job.id} has ended; its input is not needed")
    return job
