"""Jobs: submit, list, show, cancel, retry, timeline."""

from __future__ import annotations

import time

from aiohttp import web

from remote_protocol.api.bodies import Nothing, Page
from remote_protocol.api.events import TimelineEntry
from remote_protocol.api.explanations import JobExplanation
from remote_protocol.api.jobs import Cancellation, JobBatch, JobBatchCreated, JobPage, JobView
from remote_protocol.errors import ErrorCode
from remote_protocol.limits import MAX_BATCH_BODY, MAX_JOB_BODY
from remote_protocol.spec import JobSpec
from remote_protocol.trace import HEADER, usable
from remote_server.domain.model import Job
from remote_server.queries.jobs import job_views, whole_job
from remote_server.queries.views import job_view, timeline_entry
from remote_server.web.access import QUEUE_OPERATOR, QUEUE_VIEWER
from remote_server.web.actions import jobs as actions
from remote_server.web.actions.listing import JobsQuery, counted
from remote_server.web.api.batches import parse_batch, result_of
from remote_server.web.http.headers import header
from remote_server.web.http.problems import ApiProblem, validation
from remote_server.web.route import Call, Route, answer

_LONGEST_KEY = 255


@Route(
    "POST",
    "/api/v1/jobs",
    QUEUE_OPERATOR,
    body=JobSpec,
    answer=JobView,
    status=201,
    largest=MAX_JOB_BODY,
    headers=("Idempotency-Key", HEADER),
    action="job.submit",
    operation="submit_job",
    also=((200, "The job that an earlier call with this key made"),),
    gives=("Location",),
    refuses=(
        *(ErrorCode.CONFLICT, ErrorCode.CONTENT_MISSING),
        *(ErrorCode.UNKNOWN_QUEUE, ErrorCode.UNKNOWN_AGENT),
    ),
    example={
        "command": ["make", "test"],
        "queue": "default",
        "name": "nightly tests",
        "env": {"CI": "true"},
        "timeout": "30m",
    },
)
async def submit(call: Call) -> web.StreamResponse:
    """Submit a job.

    With an `Idempotency-Key` the same call may be repeated: it makes no second job.
    """
    # The hot path: the body is validated once, the answer not at all.
    spec = await call.read(JobSpec, call.services.config.limits.max_job_body)
    return await _submit(call, spec)


async def _submit(
    call: Call, spec: JobSpec, detail: str = "", *, repeated: bool = False
) -> web.StreamResponse:
    spec = with_trace(spec, call.request.headers.get(HEADER))
    key = header(call.request, "Idempotency-Key")
    if key is not None:
        spec = with_key(spec, key)
    now = time.time()
    job = await actions.submit(call, spec, now, detail, repeated=repeated)
    # A job that an earlier call with the same key made keeps its own time.
    made = spec.idempotency_key is None or job.created_at == now
    view = job_view(job, role=call.token.role)
    return answer(view, 201 if made else 200, {"Location": f"/api/v1/jobs/{job.id}"})


def with_trace(spec: JobSpec, given: str | None) -> JobSpec:
    """What the body says goes before the header, and a header that means nothing is left out."""
    if given is None or spec.traceparent is not None or (found := usable(given)) is None:
        return spec
    return spec.model_copy(update={"traceparent": found})


def with_key(spec: JobSpec, key: str) -> JobSpec:
    if not 1 <= len(key) <= _LONGEST_KEY:
        raise validation([("Idempotency-Key", f"is 1 to {_LONGEST_KEY} characters long")])
    if spec.idempotency_key not in (None, key):
        raise validation([("idempotency_key", "differs from the header Idempotency-Key")])
    return spec.model_copy(update={"idempotency_key": key})


@Route(
    "POST",
    "/api/v1/jobs/batch",
    QUEUE_OPERATOR,
    body=JobBatch,
    answer=JobBatchCreated,
    status=201,
    largest=MAX_BATCH_BODY,
    headers=(HEADER,),
    action="job.submit",
    operation="submit_jobs",
    also=((200, "Jobs of a batch that is not atomic were refused: `results` says which, and why"),),
    refuses=(
        *(ErrorCode.CONFLICT, ErrorCode.CONTENT_MISSING),
        *(ErrorCode.UNKNOWN_QUEUE, ErrorCode.UNKNOWN_AGENT),
    ),
    example={"jobs": [{"command": ["echo", "one"]}, {"command": ["echo", "two"]}]},
)
async def submit_batch(call: Call) -> web.StreamResponse:
    """Submit many jobs in one transaction.

    All of them or none; with `atomic` false each is judged alone, and the answer has a result for
    each: its id, or the error that it alone would have been answered with.
    """
    if "Idempotency-Key" in call.request.headers:
        # To take no notice would make every job twice where somebody relies on it.
        text = "is for one job; give each job of the batch its own idempotency_key"
        raise validation([("Idempotency-Key", text)])
    call.services.reserve.require()
    raw = await call.read_bytes(call.services.config.limits.max_batch_body)
    trace = call.request.headers.get(HEADER)
    batch = await parse_batch(raw)
    jobs = batch.jobs if batch.atomic else await actions.relays_judged(call, batch.jobs)
    valid = [with_trace(spec, trace) for spec in jobs if not isinstance(spec, ApiProblem)]
    wanted, inputs = await actions.concealed(call, valid)
    store, now, by = call.services.store, time.time(), call.principal
    if batch.atomic:
        made = await store.submit(wanted, now, by=by, inputs=inputs)
        return answer(JobBatchCreated.model_construct(ids=[job.id for job in made]), 201)
    judged = iter(await store.submit_each(wanted, now, by=by, inputs=inputs))
    results = [result_of(one if isinstance(one, ApiProblem) else next(judged)) for one in jobs]
    ids = [result.id for result in results if result.id is not None]
    said = JobBatchCreated(ids=ids, results=results)
    return answer(said, 201 if len(ids) == len(results) else 200)


@Route(
    "POST",
    "/api/v1/jobs/explain",
    QUEUE_VIEWER,
    body=JobSpec,
    answer=JobExplanation,
    largest=MAX_JOB_BODY,
    example={"command": ["make", "test"], "labels": {"gpu": "a100"}},
)
async def explain(call: Call) -> web.StreamResponse:
    """Say whether and where a job would run, without submitting it."""
    spec = await call.read(JobSpec, call.services.config.limits.max_job_body)
    return answer(await actions.explain(call, spec))


@Route("GET", "/api/v1/jobs", QUEUE_VIEWER, query=JobsQuery, answer=JobPage)
async def list_jobs(call: Call) -> web.StreamResponse:
    """List jobs, the newest first; a page may be short and still have a next one."""
    query = call.query(JobsQuery)
    jobs, following = await call.services.store.jobs(
        query.filter(call.token.id, time.time()), limit=query.limit, cursor=query.cursor
    )
    views = await job_views(
        call.services.sources, jobs, values_shown=call.sees_values, role=call.role
    )
    total = await counted(call.services.store, query)
    return answer(JobPage.model_construct(items=views, next_cursor=following, total=total))


@Route("GET", "/api/v1/jobs/{id}", QUEUE_VIEWER, answer=JobView)
async def show(call: Call) -> web.StreamResponse:
    """Show a job and its attempts."""
    return answer(await _shown(call, await call.services.store.job(call.path("id"))))


async def _shown(call: Call, job: Job) -> JobView:
    return await whole_job(
        call.services.sources, job, values_shown=call.sees_values, role=call.role
    )


@Route(
    "POST",
    "/api/v1/jobs/{id}/cancel",
    QUEUE_OPERATOR,
    body=Cancellation,
    body_optional=True,
    answer=JobView,
    action="job.cancel",
    also=((202, "It still has to end; its state follows"),),
    example={"reason": "not needed any more"},
)
async def cancel(call: Call) -> web.StreamResponse:
    """Cancel a job; 202 while it still has to end.

    A wish, kept until the job has ended; again changes nothing.
    """
    body = await call.read(Cancellation)
    job = await actions.cancel(call, call.path("id"), body.reason)
    return answer(await _shown(call, job), 200 if job.state.terminal else 202)


@Route(
    "POST",
    "/api/v1/jobs/{id}/retry",
    QUEUE_OPERATOR,
    answer=JobView,
    status=201,
    body=Nothing,
    body_optional=True,
    headers=("Idempotency-Key",),
    action="job.retry",
    also=((200, "The job that an earlier call with this key made"),),
    gives=("Location",),
    refuses=(
        *(ErrorCode.CONFLICT, ErrorCode.CONTENT_MISSING),
        *(ErrorCode.UNKNOWN_QUEUE, ErrorCode.UNKNOWN_AGENT),
    ),
)
async def retry(call: Call) -> web.StreamResponse:
    """Submit an ended job again, as a new job.

    A new job from the same specification (a job ends only once).
    """
    await call.read(Nothing)
    old = await actions.repeatable(call, call.path("id"))
    return await _submit(call, *actions.again(old), repeated=True)


@Route(
    "GET",
    "/api/v1/jobs/{id}/timeline",
    QUEUE_VIEWER,
    answer=Page[TimelineEntry],
    operation="get_job_timeline",
)
async def timeline(call: Call) -> web.StreamResponse:
    """Everything that happened to a job."""
    job = await call.services.store.job(call.path("id"))
    entries = await call.services.store.timeline(job.id)
    views = [timeline_entry(entry) for entry in entries]
    return answer(Page[TimelineEntry].model_construct(items=views, next_cursor=None))
