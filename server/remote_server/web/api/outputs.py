"""`GET /jobs/{id}/outputs`: what a job gave back beside its log."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from remote_protocol.api.jobs import JobOutputs
from remote_protocol.attempt_id import AttemptId
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.actions.logs import attempt_of
from remote_server.web.http.problems import not_found
from remote_server.web.route import Call, Query, Route, answer


class OutputsQuery(Query):
    """The query of outputs."""

    attempt: int | None = Field(default=None, ge=1, lt=1 << 32)
    """Default: the last one, which gives the job its own."""


@Route(
    "GET",
    "/api/v1/jobs/{id}/outputs",
    QUEUE_VIEWER,
    query=OutputsQuery,
    answer=JobOutputs,
    operation="get_job_outputs",
)
async def outputs(call: Call) -> web.StreamResponse:
    """Show what a job wrote to REMOTE_OUTPUTS.

    Those of its last attempt, or of another one; none before the attempt has ended.
    """
    wanted = call.query(OutputsQuery).attempt
    job = await call.services.store.job(call.path("id"))
    key = AttemptId(job.id, job.attempt if wanted is None else wanted)
    if wanted is not None and await attempt_of(call, key) is None:
        raise not_found(f"attempt of job {job.id}", str(wanted))
    found = await call.services.store.outputs_of(key)
    return answer(
        JobOutputs(attempt=key.number, outputs=dict(found.values), warning=found.warning or None)
    )
