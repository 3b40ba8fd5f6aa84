"""Jobs: submit, list, show, cancel, retry, timeline."""

from __future__ import annotations

import time

from aiohttp import web
from pydantic import field_validator

from remote_protocol.api import (
    Cancellation,
    JobBatch,
    JobBatchCreated,
    JobView,
    Nothing,
    Page,
    TimelineEntry,
)
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Name, is_ulid
from remote_protocol.limits import MAX_BATCH_BODY, MAX_JOB_BODY
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import Job
from remote_server.web.door import OPERATOR, VIEWER
from remote_server.web.headers import header
from remote_server.web.paging import FOREIGN
from remote_server.web.problems import ApiProblem, validation
from remote_server.web.route import Call, PageQuery, Route, answer
from remote_server.web.views import job_view, timeline_entry

_LONGEST_KEY = 255


class JobsQuery(PageQuery):
    """The query of `GET /jobs`."""

    state: JobState | None = None
    queue: Name | None = None
    agent: Name | None = None

    @field_validator("cursor")
    @classmethod
    def _made_here(cls, cursor: str | None) -> str | None:
        if cursor is not None and not is_ulid(cursor):
            raise ValueError(FOREIGN)
        return cursor


async def submit(call: Call) -> web.StreamResponse:
    """`POST /jobs`: the hot path, so the body is validated once and the answer not at all."""
    spec = await call.read(JobSpec, call.services.config.limits.max_job_body)
    return await _submit(call, spec)


async def _submit(call: Call, spec: JobSpec) -> web.StreamResponse:
    call.services.logs.reserve.require()
    key = header(call.request, "Idempotency-Key")
    if key is not None:
        spec = _with_key(spec, key)
    now = time.time()
    job = (await call.services.store.submit([spec], now))[0]
    # A job that an earlier call with the same key made keeps its own time.
    made = spec.idempotency_key is None or job.created_at == now
    return answer(job_view(job), 201 if made else 200, {"Location": f"/api/v1/jobs/{job.id}"})


def _with_key(spec: JobSpec, key: str) -> JobSpec:
    if not 1 <= len(key) <= _LONGEST_KEY:
        raise validation([("Idempotency-Key", f"is 1 to {_LONGEST_KEY} characters long")])
    if spec.idempotency_key not in (None, key):
        raise validation([("idempotency_key", "differs from the header Idempotency-Key")])
    return spec.model_copy(update={"idempotency_key": key})


async def submit_batch(call: Call) -> web.StreamResponse:
    """`POST /jobs/batch`: all of them or none."""
    if "Idempotency-Key" in call.request.headers:
        # To take no notice would make every job twice where somebody relies on it.
        text = "is for one job; give each job of the batch its own idempotency_key"
        raise validation([("Idempotency-Key", text)])
    call.services.logs.reserve.require()
    batch = await call.read(JobBatch, call.services.config.limits.max_batch_body)
    jobs = await call.services.store.submit(batch.jobs, time.time())
    return answer(JobBatchCreated(ids=[job.id for job in jobs]), 201)


async def list_jobs(call: Call) -> web.StreamResponse:
    """`GET /jobs`: the newest first."""
    query = call.query(JobsQuery)
    jobs, following = await call.services.store.jobs(
        state=query.state,
        queue=query.queue,
        agent=query.agent,
        limit=query.limit,
        cursor=query.cursor,
    )
    reasons = await call.services.pending_reasons(jobs)
    views = [job_view(job, reasons.get(job.id)) for job in jobs]
    return answer(Page[JobView].model_construct(items=views, next_cursor=following))


async def show(call: Call) -> web.StreamResponse:
    """`GET /jobs/{id}`: with its attempts."""
    return answer(await _shown(call, await call.services.store.job(call.path("id"))))


async def _shown(call: Call, job: Job) -> JobView:
    """A job with everything that is known about it."""
    attempts = await call.services.store.attempts_of(job.id)
    return job_view(job, await call.services.pending_reason(job), attempts)


async def cancel(call: Call) -> web.StreamResponse:
    """`POST /jobs/{id}/cancel`: a wish, kept until the job has ended; again changes nothing."""
    body = await call.read(Cancellation)
    detail = body.reason or f"cancelled by {call.token.name}"
    outcome = await call.services.store.request_cancel(call.path("id"), detail, time.time())
    if outcome.lease is not None:
        lease = outcome.lease
        call.services.hub.cancel(lease.agent, lease.key, EndReason.CANCELLED, detail)
    return answer(await _shown(call, outcome.job), 200 if outcome.job.state.terminal else 202)


async def retry(call: Call) -> web.StreamResponse:
    """`POST /jobs/{id}/retry`: a new job from the same specification (a job ends only once)."""
    await call.read(Nothing)
    old = await call.services.store.job(call.path("id"))
    if not old.state.terminal:
        raise ApiProblem(
            ErrorCode.CONFLICT,
            f"job {old.id} is {old.state} and has not ended; cancel it first, or wait for it",
        )
    return await _submit(call, old.spec.model_copy(update={"idempotency_key": None}))


async def timeline(call: Call) -> web.StreamResponse:
    """`GET /jobs/{id}/timeline`: everything that happened to it, the oldest first."""
    job = await call.services.store.job(call.path("id"))
    entries = await call.services.store.timeline(job.id)
    views = [timeline_entry(entry) for entry in entries]
    return answer(Page[TimelineEntry].model_construct(items=views, next_cursor=None))


ROUTES = (
    Route(
        "POST",
        "/api/v1/jobs",
        submit,
        "Submit a job",
        OPERATOR,
        body=JobSpec,
        answer=JobView,
        status=201,
        largest=MAX_JOB_BODY,
        headers=("Idempotency-Key",),
    ),
    Route(
        "POST",
        "/api/v1/jobs/batch",
        submit_batch,
        "Submit many jobs in one transaction",
        OPERATOR,
        body=JobBatch,
        answer=JobBatchCreated,
        status=201,
        largest=MAX_BATCH_BODY,
    ),
    Route(
        "GET",
        "/api/v1/jobs",
        list_jobs,
        "List jobs, the newest first",
        VIEWER,
        query=JobsQuery,
        answer=Page[JobView],
    ),
    Route("GET", "/api/v1/jobs/{id}", show, "Show a job and its attempts", VIEWER, answer=JobView),
    Route(
        "POST",
        "/api/v1/jobs/{id}/cancel",
        cancel,
        "Cancel a job; 202 while it still has to end",
        OPERATOR,
        body=Cancellation,
        body_optional=True,
        answer=JobView,
    ),
    Route(
        "POST",
        "/api/v1/jobs/{id}/retry",
        retry,
        "Submit an ended job again, as a new job",
        OPERATOR,
        answer=JobView,
        status=201,
        body=Nothing,
        body_optional=True,
        headers=("Idempotency-Key",),
    ),
    Route(
        "GET",
        "/api/v1/jobs/{id}/timeline",
        timeline,
        "Everything that happened to a job",
        VIEWER,
        answer=Page[TimelineEntry],
    ),
)
