"""Jobs as shown: with why they wait, their attempts, and what is the matter with them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from remote_protocol.api.jobs import JobView
from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import Role
from remote_protocol.trace import trace_of
from remote_server.domain.model import Job
from remote_server.inputs import Input
from remote_server.queries.sources import Sources
from remote_server.queries.views import input_view, job_view
from remote_server.queries.waiting import attention, fetching_reasons, waiting_reasons


async def job_views(
    sources: Sources,
    jobs: Sequence[Job],
    *,
    values_shown: bool = True,
    role: Role | None = None,
) -> list[JobView]:
    """Jobs as a list shows them to whoever has a role; without `values_shown` their environments
    have names only."""
    reasons = await waiting_reasons(sources.store, sources.agents, jobs)
    reasons |= fetching_reasons(sources.agents, jobs)
    return [
        job_view(job, reasons.get(job.id), values_shown=values_shown, role=role) for job in jobs
    ]


async def whole_job(
    sources: Sources, job: Job, *, values_shown: bool = True, role: Role | None = None
) -> JobView:
    """A job with everything that is known about it, and what whoever has a role may do with it."""
    attempts = await sources.store.attempts_of(job.id)
    reasons = await waiting_reasons(sources.store, sources.agents, [job])
    reasons |= fetching_reasons(sources.agents, [job])
    sent = None
    if job.spec.stdin and not job.state.terminal:
        sent = input_view(sources.inputs.look(job.id) or Input(), sources.input_ttl)
    silence = None if job.agent is None else sources.agents.status(job.agent).silence
    view = job_view(
        job,
        reasons.get(job.id),
        attempts,
        values_shown=values_shown,
        sent=sent,
        attention=attention(job, silence, time.time()),
        role=role,
    )
    more: dict[str, object] = {"trace_id": trace_of(job.id, job.spec.traceparent).id}
    if job.state.terminal:
        outputs = await sources.store.outputs_of(AttemptId(job.id, job.attempt))
        more["artifacts"] = outputs.artifacts
        more |= {"outputs": dict(outputs.values), "outputs_warning": outputs.warning or None}
    return view.model_copy(update=more)
