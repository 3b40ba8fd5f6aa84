"""Batches of jobs, validated in slices: many faults must not keep everybody waiting."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json

from remote_protocol.errors import ErrorCode
from remote_protocol.limits import MAX_BATCH_JOBS
from remote_protocol.spec import JobSpec
from remote_server.web.http.bodies import require_few_values
from remote_server.web.http.problems import MOST_FAULTS, ApiProblem, faults_of, validation

MOST_VALUES: Final = 200_000
"""Values in the JSON of a batch."""
TURN: Final = 0.01
"""Seconds of validating without letting others run."""


async def parse_batch(raw: bytes) -> list[JobSpec]:
    """The jobs in a body like `{"jobs": […]}`. ApiProblem names the faults, and stops to look for
    more when there are MOST_FAULTS."""
    require_few_values(raw, MOST_VALUES)
    jobs = _jobs(raw)
    specs: list[JobSpec] = []
    faults: list[tuple[str, str]] = []
    turn = time.perf_counter()
    for number, job in enumerate(jobs):
        try:
            specs.append(JobSpec.model_validate(job))
        except ValidationError as error:
            faults += ((_at(number, field), message) for field, message in faults_of(error))
            if len(faults) >= MOST_FAULTS:
                break
        if time.perf_counter() - turn > TURN:
            await asyncio.sleep(0)
            turn = time.perf_counter()
    if faults:
        raise validation(faults)
    return specs


def _jobs(raw: bytes) -> list[Any]:
    try:
        # As for one job, surrogates alone and what JSON does not know are no JSON.
        document = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise ApiProblem(ErrorCode.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise validation([("", 'the body is not an object like {"jobs": […]}')])
    faults = [(name, "unknown field") for name in document if name != "jobs"]
    jobs = document.get("jobs")
    if not isinstance(jobs, list):
        faults.append(("jobs", "is not a list of jobs"))
    elif not 1 <= len(jobs) <= MAX_BATCH_JOBS:
        faults.append(("jobs", f"has {len(jobs)} jobs; 1 to {MAX_BATCH_JOBS} are taken"))
    if faults:
        raise validation(faults)
    return list(jobs or ())


def _at(number: int, field: str) -> str:
    return f"jobs.{number}.{field}" if field else f"jobs.{number}"
