"""Batches of jobs, validated in slices: many faults must not keep everybody waiting.

An atomic one is refused with all that is wrong in it; of another one each job is judged alone.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from remote_protocol.api.jobs import JobResult
from remote_protocol.errors import ErrorCode
from remote_protocol.limits import MAX_BATCH_JOBS
from remote_protocol.spec import JobSpec
from remote_server.domain.model import Job
from remote_server.errors import ServerError
from remote_server.web.actions.jobs import ONLY_A_MARK
from remote_server.web.http.bodies import require_few_values
from remote_server.web.http.problems import (
    MOST_FAULTS,
    ApiProblem,
    faults_of,
    from_server_error,
    validation,
)

MOST_VALUES: Final = 200_000
"""Values in the JSON of a batch."""
TURN: Final = 0.01
"""Seconds of validating without letting others run."""
_LONGEST_DETAIL: Final = 1000
"""Characters; thousands of jobs may be refused in one answer."""


class Batch(NamedTuple):
    """A body as it was validated."""

    jobs: list[JobSpec | ApiProblem]
    """A problem is in the place of a job that is not valid, unless the batch is atomic."""
    atomic: bool


async def parse_batch(raw: bytes) -> Batch:
    """The jobs in a body like `{"jobs": […]}`. ApiProblem names the faults of the body and of an
    atomic batch, and stops to look for more when there are MOST_FAULTS."""
    require_few_values(raw, MOST_VALUES)
    jobs, atomic = _jobs(raw)
    found: list[JobSpec | ApiProblem] = []
    faults: list[tuple[str, str]] = []
    turn = time.perf_counter()
    for number, job in enumerate(jobs):
        try:
            spec = JobSpec.model_validate(job)
            marked = spec.private_input is True and not atomic
            found.append(validation([("private_input", ONLY_A_MARK)]) if marked else spec)
        except ValidationError as error:
            if atomic:
                faults += ((_at(number, field), text) for field, text in faults_of(error))
            else:
                found.append(validation(faults_of(error)))
            if len(faults) >= MOST_FAULTS:
                break
        if time.perf_counter() - turn > TURN:
            await asyncio.sleep(0)
            turn = time.perf_counter()
    if faults:
        raise validation(faults)
    return Batch(found, atomic)


def result_of(found: Job | ServerError | ApiProblem) -> JobResult:
    """What the answer to a batch says of one job. The error itself when it is no fault of the
    request."""
    if isinstance(found, Job):
        return JobResult(id=found.id)
    problem = from_server_error(found) if isinstance(found, ServerError) else found
    if problem is None:
        raise found
    detail = problem.detail
    if len(detail) > _LONGEST_DETAIL:
        detail = f"{detail[: _LONGEST_DETAIL - 1]}…"
    return JobResult(status=problem.status, code=problem.code, detail=detail)


def _jobs(raw: bytes) -> tuple[list[Any], bool]:
    try:
        # As for one job, surrogates alone and what JSON does not know are no JSON.
        document = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise ApiProblem(ErrorCode.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise validation([("", 'the body is not an object like {"jobs": […]}')])
    faults = [(name, "unknown field") for name in document if name not in ("jobs", "atomic")]
    jobs, atomic = document.get("jobs"), document.get("atomic", True)
    if not isinstance(jobs, list):
        faults.append(("jobs", "is not a list of jobs"))
    elif not 1 <= len(jobs) <= MAX_BATCH_JOBS:
        faults.append(("jobs", f"has {len(jobs)} jobs; 1 to {MAX_BATCH_JOBS} are taken"))
    if not isinstance(atomic, bool):
        faults.append(("atomic", "is neither true nor false"))
    if faults:
        raise validation(faults)
    return list(jobs or ()), bool(atomic)


def _at(number: int, field: str) -> str:
    return f"jobs.{number}.{field}" if field else f"jobs.{number}"
