"""Submitting, explaining, repeating and cancelling jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from remote_protocol.api.explanations import JobExplanation
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role
from remote_protocol.spec import JobSpec
from remote_server.domain.model import Job
from remote_server.domain.secrets import Sealer
from remote_server.queries import explanation
from remote_server.web.http.problems import ApiProblem, validation
from remote_server.web.route import Call

ONLY_A_MARK: Final = "is the text itself; true stands for it in answers only"
"""What is wrong with `true` as private input."""


async def submit(
    call: Call, spec: JobSpec, now: float, detail: str = "", *, repeated: bool = False
) -> Job:
    """Submit one job; an earlier one that was submitted with the same idempotency key is the
    answer again. ApiProblem when the server has no room."""
    call.services.reserve.require()
    store, action = call.services.store, call.route.action
    (spec,), inputs = await concealed(call, [spec])
    given: dict[str, Any] = {"by": call.principal, "detail": detail, "action": action}
    job = (await store.submit([spec], now, inputs=inputs, repeated=repeated, **given))[0]
    if job.spec.stdin and not job.state.terminal:
        call.services.inputs.expect(job.id)
    return job


async def concealed(
    call: Call, specs: Sequence[JobSpec]
) -> tuple[list[JobSpec], dict[int, Sealer]]:
    """Specifications that only say that they have private inputs, and what seals these, by their
    places. ApiProblem when one only says so already, or asks for a relay that it cannot have;
    KeyUnusable."""
    await require_relays(call, specs)
    found, inputs = [], {}
    for number, spec in enumerate(specs):
        if spec.private_input is True:
            where = f"jobs.{number}.private_input" if len(specs) > 1 else "private_input"
            raise validation([(where, ONLY_A_MARK)])
        if spec.private_input is not False:
            spec, sealer = await call.services.vault.concealed(spec)
            if sealer is not None:
                inputs[number] = sealer
        found.append(spec)
    return found, inputs


async def require_relays(call: Call, specs: Sequence[JobSpec], field: str = "relay") -> None:
    """ApiProblem when one of these jobs asks for a relay that is not for its queue."""
    asking = [spec for spec in specs if spec.relay is not None]
    if asking and (faults := dict.fromkeys(filter(None, await _relay_faults(call, asking)))):
        raise validation([(field, fault) for fault in faults])


async def relays_judged(
    call: Call, jobs: Sequence[JobSpec | ApiProblem]
) -> list[JobSpec | ApiProblem]:
    """Jobs of which each is judged alone: in the place of one that asks for a relay that is not for
    its queue is the problem."""
    found = list(jobs)
    asking = [n for n, job in enumerate(jobs) if isinstance(job, JobSpec) and job.relay is not None]
    if asking:
        specs = [job for n in asking if isinstance(job := jobs[n], JobSpec)]
        for n, fault in zip(asking, await _relay_faults(call, specs), strict=True):
            if fault:
                found[n] = validation([("relay", fault)])
    return found


async def _relay_faults(call: Call, specs: Sequence[JobSpec]) -> list[str]:
    """Why each of these jobs cannot have its relay; empty: it can."""
    placed = await call.services.store.placed(specs)
    return [call.services.relays.fault(spec.relay or "", spec.queue) for spec in placed]


async def explain(call: Call, spec: JobSpec) -> JobExplanation:
    """Whether and where a job would run, without submitting it."""
    services = call.services
    (spec,) = await services.store.placed([spec])
    if spec.private_input:
        spec = spec.model_copy(update={"private_input": True})
    members = await services.fleet.members()
    if not call.role.includes(Role.OPERATOR):
        # Which secrets there are is none of a viewer's business.
        spec = spec.model_copy(update={"secrets": []})
    return await explanation.explain(services.sources, members, spec, services.reserve.lack())


async def repeatable(call: Call, name: str) -> Job:
    """A job that can be submitted again. ApiProblem when it has not ended, or had an input."""
    old = await call.services.store.job(name)
    if not old.state.terminal:
        raise ApiProblem(
            ErrorCode.CONFLICT,
            f"job {old.id} is {old.state} and has not ended; cancel it first, or wait for it",
        )
    if old.spec.has_input:
        raise ApiProblem(
            ErrorCode.CONFLICT,
            f"job {old.id} had an input, which is kept no longer; submit it again, with its input",
        )
    return old


def again(old: Job) -> tuple[JobSpec, str]:
    """The specification of a job that repeats one, and what its timeline says of it. The trace that
    the first one continued is over."""
    # Its queue is named, so that it stays there whichever is the default one now.
    other = {"idempotency_key": None, "traceparent": None, "queue": old.spec.queue}
    return old.spec.model_copy(update=other), f"retry of {old.id}"


async def cancel(call: Call, name: str, reason: str) -> Job:
    """Ask for a job's end; a wish, kept until the job has ended."""
    detail = reason or f"cancelled by {call.token.name}"
    store = call.services.store
    return await store.request_cancel(name, detail, time.time(), by=call.principal)
