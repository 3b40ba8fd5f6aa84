"""Calls for a DataHub control plane: execute a task, look at it, signal it.

An execution is a job of the kind `datahub`, found by its `exec_id`, which is the idempotency key of
whoever submitted it. Everything else about it is the job's: log, events, page.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Final

from aiohttp import web
from pydantic import Field, ValidationError

from remote_datahub.execution_jobs import spec_of
from remote_datahub.recipe import MAX_RECIPE
from remote_datahub.reports import structured_report
from remote_datahub.requests import MAX_LISTS, ExecutionRequest, SignalRequest
from remote_datahub.results import (
    MOST_LINES,
    ExecutionView,
    execution_view,
    last_lines,
    not_yet_over,
)
from remote_datahub.spec import DatahubSpec
from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_protocol.ids import is_ulid
from remote_server.domain.model import Job
from remote_server.web.access import QUEUE_OPERATOR, QUEUE_VIEWER
from remote_server.web.actions import jobs as actions
from remote_server.web.actions.logs import reader_of, stored_size
from remote_server.web.http.problems import ApiProblem, not_found, validation
from remote_server.web.route import Call, Query, Route, answer

_LARGEST: Final = 2 * MAX_RECIPE + 4 * MAX_LISTS
"""Bytes of a request: JSON in a text has a sign more for each quote."""
_READ: Final = 4 * 1024 * 1024
"""Bytes of a stored log that are looked at for its last lines."""


class ExecutionQuery(Query):
    """The query of an execution."""

    lines: int = Field(default=MOST_LINES, ge=0, le=MOST_LINES)
    """Lines of the log in its report; 0 leaves the log out."""


@Route(
    "POST",
    "/api/v1/datahub/executions",
    QUEUE_OPERATOR,
    body=ExecutionRequest,
    answer=ExecutionView,
    status=201,
    largest=_LARGEST,
    action="job.submit",
    operation="execute_datahub_task",
    also=((200, "The execution that an earlier request with this exec_id began"),),
    gives=("Location",),
    refuses=(ErrorCode.CONFLICT, ErrorCode.UNKNOWN_QUEUE),
    example={
        "executor_id": "production",
        "exec_id": "3f0e6a1c-5d0b-4c2e-9d6e-0b8f6f1d2a77",
        "name": "RUN_INGEST",
        "args": {
            "recipe": '{"source": {"type": "postgres", "config": {"password": "${PG_PASSWORD}"}}}',
            "version": "latest",
            "debug_mode": "false",
            "extra_env_vars": '{"EXECUTOR_TASK_WEIGHT": "0.5"}',
        },
    },
)
async def execute(call: Call) -> web.StreamResponse:
    """Execute a task of DataHub's, as acryl-executor's `ExecutionRequest` asks for it.

    `executor_id` is the queue, `exec_id` the idempotency key: the same request twice makes one job.
    """
    asked = (await call.read(ExecutionRequest)).identified(str(uuid.uuid4()))
    # The server's log says who called; what runs, with its environment, must not be in it.
    call.given = None
    try:
        spec = spec_of(asked)
    except ValidationError as error:
        raise validation(_faults(error)) from None
    except ValueError as error:
        raise validation([("args.recipe", str(error))]) from None
    now = time.time()
    job = await actions.submit(call, spec, now)
    view = execution_view(job, str(asked.exec_id), asked.name)
    where = f"/api/v1/datahub/executions/{job.id}"
    return answer(view, 201 if job.created_at == now else 200, {"Location": where})


@Route(
    "GET",
    "/api/v1/datahub/executions/{id}",
    QUEUE_VIEWER,
    query=ExecutionQuery,
    answer=ExecutionView,
    operation="get_datahub_execution",
)
async def show(call: Call) -> web.StreamResponse:
    """Show an execution: its state, its reports, and the last lines of its log.

    By the `exec_id` of a request that was made with the same token, or by its job's id.
    """
    lines = call.query(ExecutionQuery).lines
    job = await _execution(call, call.path("id"))
    return answer(await _view(call, job, lines))


@Route(
    "POST",
    "/api/v1/datahub/signals",
    QUEUE_OPERATOR,
    body=SignalRequest,
    answer=ExecutionView,
    action="job.cancel",
    operation="signal_datahub_task",
    also=((202, "It still has to end; its state follows"),),
    refuses=(ErrorCode.NOT_FOUND,),
    example={"exec_id": "3f0e6a1c-5d0b-4c2e-9d6e-0b8f6f1d2a77", "signal": "KILL"},
)
async def send_signal(call: Call) -> web.StreamResponse:
    """Send a signal to an execution, as acryl-executor's `SignalRequest` asks for it.

    KILL cancels its job: a polite signal, and the forced one after the grace period; again changes
    nothing.
    """
    asked = await call.read(SignalRequest)
    job = await _execution(call, asked.exec_id)
    if asked.executor_id not in (None, job.spec.queue):
        raise not_found(f"execution in the pool {asked.executor_id}", asked.exec_id)
    job = await actions.cancel(call, job.id, "cancelled by a KILL signal of DataHub's")
    return answer(await _view(call, job, 0), 200 if job.state.terminal else 202)


async def _execution(call: Call, name: str) -> Job:
    """The job of an execution. ApiProblem when there is none."""
    store = call.services.store
    found = await store.known_jobs([name] if is_ulid(name) else [], [name], by=call.principal)
    known = found.keys.get(name) or (name if is_ulid(name) else None)
    if known is None or known not in {job.id for job in found.jobs}:
        raise ApiProblem(
            ErrorCode.NOT_FOUND,
            f"no execution with the exec_id {name!r} was begun with this token; other tokens find "
            "it by the id of its job",
        )
    job = await store.job(known)
    if not isinstance(job.spec, DatahubSpec):
        raise not_found("execution", name)
    return job


async def _view(call: Call, job: Job, lines: int) -> ExecutionView:
    spec = job.spec
    assert isinstance(spec, DatahubSpec)
    log, structured = await _log(call, job, lines) if lines else None, None
    if job.state.terminal:
        services = call.services
        structured, due = await structured_report(services.store, services.artifacts, job)
        job = not_yet_over(job) if due else job
    return execution_view(job, spec.idempotency_key or job.id, spec.task, structured, log)


async def _log(call: Call, job: Job, lines: int) -> str:
    """The last lines of its log."""
    if not job.attempt:
        return ""
    key = AttemptId(job.id, job.attempt)
    size = await stored_size(call, key)
    data = await reader_of(call, key).last(size, _READ)
    # Megabytes of it take their time: others run meanwhile.
    return await asyncio.to_thread(_last, data, lines, size <= _READ)


def _last(data: bytes, lines: int, whole: bool) -> str:
    return last_lines(cri.decode(data).decode("utf-8", "replace"), lines, whole)


def _faults(error: ValidationError) -> list[tuple[str, str]]:
    """What the job's specification does not take, by the names that the request has for it."""
    named = {"requirements": "args.extra_pip_requirements", "plugins": "args.extra_pip_plugins"}
    named |= {"env": "args.extra_env_vars", "recipe": "args.recipe", "version": "args.version"}
    found = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        first = str(fault["loc"][0]) if fault["loc"] else "args"
        message = str(fault["msg"]).removeprefix("Value error, ")
        found.append((named.get(first, first), message))
    return found
