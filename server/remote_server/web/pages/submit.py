"""The form to submit a job: a new one, or one again with changes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from remote_protocol.api.explanations import JobExplanation
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Name
from remote_protocol.spec import JobSpec
from remote_server.errors import JobTooLarge, NotFound, UnknownAgent, UnknownQueue
from remote_server.web.access import QUEUE_OPERATOR
from remote_server.web.actions import jobs as actions
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages import submission
from remote_server.web.pages.rendering import PageShown, as_faults, go, render
from remote_server.web.pages.submission import FaultyForm, JobForm
from remote_server.web.route import Call, Route

_MOST_QUEUES: Final = 200
"""Queues that the form suggests."""
_FIELD_OF: Final = ((UnknownQueue, "queue"), (UnknownAgent, "agent"), (JobTooLarge, "run"))
_OUTLOOKS: Final = {
    "now": ("succeeded", "It would start now"),
    "later": ("queued", "It would wait for room"),
    "blocked": ("warning", "It would wait until somebody acts"),
    "never": ("error", "No agent could ever run it"),
    "refused": ("error", "It would be refused"),
}
"""What is said of each outlook, and as which state it is drawn."""


class SubmitQuery(PageShown):
    """The query of the form."""

    job: str = Field(default="", max_length=64)
    """The job that is submitted again."""
    queue: Name | None = None
    """Of the job; default: the default queue, or the only one that the caller has."""


@Route("GET", "/submit", QUEUE_OPERATOR, page=True, query=SubmitQuery)
async def form(call: Call) -> web.StreamResponse:
    """The form to submit a job."""
    query = call.query(SubmitQuery)
    if not query.job:
        return await _form(call, submission.empty(query.queue or await _usual_queue(call)), None)
    old = await call.services.store.job(query.job)
    return await _form(call, submission.filled(old.spec, old.id), old.spec)


@Route("POST", "/submit", QUEUE_OPERATOR, page=True, body=JobForm, action="job.submit")
async def submit(call: Call) -> web.StreamResponse:
    """Submit the job."""

    async def done(form: JobForm, old: JobSpec | None) -> web.Response:
        detail = f"like {form.source}, with changes" if old is not None else ""
        job = await actions.submit(call, submission.spec_of(form, old), time.time(), detail)
        return go(call, f"jobs/{job.id}", done="submitted")

    return await _try(call, done)


@Route("POST", "/submit/explain", QUEUE_OPERATOR, page=True, body=JobForm)
async def explain(call: Call) -> web.StreamResponse:
    """Say whether and where the job would run, without submitting it."""

    async def done(form: JobForm, old: JobSpec | None) -> web.Response:
        found = await actions.explain(call, submission.spec_of(form, old))
        return await _form(call, call.given_form, old, explanation=found)

    return await _try(call, done)


async def _usual_queue(call: Call) -> str:
    """The queue that the form proposes: the default one, else the first that the caller has."""
    names = [queue.name for queue in await call.services.store.queues()]
    default = await call.services.store.default_queue()
    return default if default in names else next(iter(names), "")


async def _try(
    call: Call, done: Callable[[JobForm, JobSpec | None], Awaitable[web.Response]]
) -> web.StreamResponse:
    """What is done with the form; the form again, with its faults, when it is no job."""
    old: JobSpec | None = None
    try:
        if source := call.given_form.get("source"):
            old = (await call.services.store.job(source)).spec
        return await done(call.form(JobForm), old)
    except FaultyForm as faulty:
        return await _form(call, call.given_form, old, faulty.faults)
    except NotFound:
        gone = "the job to repeat is not kept any more; open the form again"
        return await _form(call, call.given_form, None, {"": gone})
    except (UnknownQueue, UnknownAgent, JobTooLarge) as error:
        field = next(name for kind, name in _FIELD_OF if isinstance(error, kind))
        return await _form(call, call.given_form, old, {field: str(error)})
    except ApiProblem as problem:
        if problem.code is ErrorCode.FORBIDDEN:
            raise
        faults = as_faults(problem) or {"": problem.detail}
        return await _form(call, call.given_form, old, faults)


async def _form(
    call: Call,
    given: dict[str, str],
    old: JobSpec | None,
    faults: dict[str, str] | None = None,
    explanation: JobExplanation | None = None,
) -> web.Response:
    queues = await call.services.store.queues()
    values: dict[str, Any] = {
        "given": given,
        "faults": faults or {},
        "explanation": explanation,
        "outlooks": _OUTLOOKS,
        "kept": [] if old is None else submission.kept(old),
        "had_input": old is not None and old.has_input,
        "reasons": submission.REASONS,
        "usual": await _usual_queue(call),
        "queues": [queue.name for queue in queues[:_MOST_QUEUES]],
    }
    return render(call, "submit.html", status=422 if faults else 200, **values)
