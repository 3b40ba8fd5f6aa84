"""`POST /jobs/lookup`: many jobs at once, by their ids or by idempotency keys."""

from __future__ import annotations

from aiohttp import web

from remote_protocol.api.jobs import JobLookup, JobsFound
from remote_server.queries.jobs import job_views
from remote_server.web.access import QUEUE_VIEWER
from remote_server.web.route import Call, Route, answer


@Route(
    "POST",
    "/api/v1/jobs/lookup",
    QUEUE_VIEWER,
    body=JobLookup,
    answer=JobsFound,
    operation="look_up_jobs",
    example={"idempotency_keys": ["nightly-2026-11-26", "nightly-2026-11-27"]},
)
async def look_up(call: Call) -> web.StreamResponse:
    """Show many jobs, by their ids and by the idempotency keys that the caller gave them.

    It changes nothing; it is a POST because of the number of ids.
    """
    wanted = await call.read(JobLookup)
    found = await call.services.store.known_jobs(
        wanted.ids, wanted.idempotency_keys, by=call.principal
    )
    views = await job_views(
        call.services.sources, found.jobs, values_shown=call.sees_values, role=call.role
    )
    there = {job.id for job in found.jobs}
    return answer(
        JobsFound.model_construct(
            items=views,
            keys=found.keys,
            missing_ids=[job for job in dict.fromkeys(wanted.ids) if job not in there],
            missing_keys=[
                key for key in dict.fromkeys(wanted.idempotency_keys) if key not in found.keys
            ],
        )
    )
