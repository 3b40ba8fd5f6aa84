"""What became of an execution, in acryl-executor's own words: its state, its report, and the aspect
`dataHubExecutionRequestResult` as a control plane stores it. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Literal

from remote_protocol.api.bodies import View
from remote_protocol.ids import JobId
from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import Job

Status = Literal["PENDING", "RUNNING", "SUCCESS", "FAILURE", "CANCELLED", "TIMEOUT"]
MOST_LINES: Final = 2_000
"""Lines of the log in a report, as acryl-executor keeps them."""
MAX_LINE: Final = 4096
"""Characters of a line."""
MAX_REPORT: Final = int(0.9 * (1 << 22))
"""Characters of a log in a report: what DataHub's server takes, and a margin."""
EXPIRED: Final = "ExecutionRequest dropped due to exceeded SQS visibility timeout"
"""What DataHub's users look for in a log."""
_JSON: Final = "application/json"
_COMMANDS: Final = {"RUN_INGEST": "datahub ingest", "TEST_CONNECTION": "datahub test connection"}
_STATUS: Final[dict[JobState, Status]] = {
    JobState.QUEUED: "PENDING",
    JobState.ASSIGNED: "PENDING",
    JobState.RUNNING: "RUNNING",
    JobState.SUCCEEDED: "SUCCESS",
    JobState.FAILED: "FAILURE",
    JobState.CANCELLED: "CANCELLED",
}


class StructuredReport(View):
    """The report that the ingestion wrote itself."""

    type: str
    serializedValue: str
    contentType: str = _JSON


class ResultAspect(View):
    """DataHub's aspect `dataHubExecutionRequestResult`, as it is stored there."""

    status: Status
    startTimeMs: int | None = None
    durationMs: int | None = None
    report: str = ""
    """What people read: what happened, the structured report, and the last lines of the log."""
    structuredReport: StructuredReport | None = None
    executorInstanceId: str | None = None
    """The agent that has it."""


class ExecutionView(View):
    """An execution."""

    exec_id: str
    executor_id: str
    """The pool: the queue of its job."""
    name: str
    """The task."""
    job: JobId
    """Its job, with everything else that is known of it."""
    status: Status
    infos: list[str]
    """What happened, as acryl-executor's report says it."""
    errors: list[str]
    end_time_ms: int | None = None
    result: ResultAspect


def status_of(job: Job) -> Status:
    """The state of a job as DataHub calls it."""
    if job.state is JobState.FAILED and job.end_reason is EndReason.TIMEOUT:
        return "TIMEOUT"
    return _STATUS[job.state]


def not_yet_over(job: Job) -> Job:
    """A job that has ended, while its report has not come: as DataHub is told of it."""
    return replace(job, state=JobState.RUNNING, ended_at=None)


def execution_view(
    job: Job, exec_id: str, task: str, structured: str | None = None, log: str | None = None
) -> ExecutionView:
    """An execution, by its job. `log` None: the report goes without it."""
    infos, errors = _infos(job, task), _errors(job)
    start, end = _milliseconds(job.started_at), _milliseconds(job.ended_at)
    status = status_of(job)
    return ExecutionView(
        exec_id=exec_id,
        executor_id=job.spec.queue,
        name=task,
        job=job.id,
        status=status,
        infos=infos,
        errors=errors,
        end_time_ms=end,
        result=ResultAspect(
            status=status,
            startTimeMs=start,
            durationMs=None if start is None or end is None else end - start,
            report=_summary(job, task, (infos, errors), structured, log),
            structuredReport=None
            if structured is None
            else StructuredReport(type=task, serializedValue=structured),
            executorInstanceId=job.agent,
        ),
    )


def last_lines(text: str, most: int, whole: bool = True) -> str:
    """The last lines of a log, none of them longer than MAX_LINE, in at most MAX_REPORT
    characters. `whole`: whether nothing of the log was left out before."""
    ended = text.endswith("\n")
    # From the end: a job may write millions of lines, and no more than these are made.
    lines = text.removesuffix("\n").rsplit("\n", most)
    before = len(lines) > most and bool(text)
    lines = lines[-most:] if most else []
    shown = [line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…" for line in lines]
    found = "\n".join(shown)
    found += "\n" if shown and (ended or len(lines[-1]) > MAX_LINE) else ""
    cut = not whole or before or len(found) > MAX_REPORT
    return f"[earlier logs truncated...]\n{found[-MAX_REPORT:]}" if cut else found


def _infos(job: Job, task: str) -> list[str]:
    found: list[str] = []
    if job.started_at is not None:
        found.append(_line("INFO", job.started_at, f"Starting execution for task with name={task}"))
        claimed = f"Task claimed by executor instance {job.agent}"
        found.append(_line("INFO", job.started_at, claimed))
    if job.ended_at is None:
        return found
    command, status = _COMMANDS[task], status_of(job)
    if status == "SUCCESS":
        found.append(_line("INFO", job.ended_at, f"Successfully executed '{command}'"))
    elif status == "CANCELLED":
        found.append(_line("INFO", job.ended_at, f"The task was cancelled: {job.end_detail}"))
    else:
        code = "" if job.exit_code is None else f", exit code {job.exit_code}"
        found.append(_line("INFO", job.ended_at, f"Failed to execute '{command}'{code}"))
    return found


def _errors(job: Job) -> list[str]:
    if job.ended_at is None or job.state is not JobState.FAILED:
        return []
    if job.end_reason is EndReason.EXPIRED:
        return [_line("ERROR", job.ended_at, f"{EXPIRED}: {job.end_detail}")]
    return [_line("ERROR", job.ended_at, job.end_detail or str(job.end_reason))]


def _summary(
    job: Job,
    task: str,
    told: tuple[Sequence[str], Sequence[str]],
    structured: str | None,
    log: str | None,
) -> str:
    """What people read, in the sections of acryl-executor's summary."""
    infos, errors = told
    parts = [f"~~~~ Execution Summary - {task} ~~~~", _HOW[status_of(job)]]
    parts.append(json.dumps({"infos": infos, "errors": errors}, indent=2, ensure_ascii=False))
    if structured is not None:
        parts += ["", "~~~~ Ingestion Report ~~~~", structured]
    if log is not None:
        parts += ["", "~~~~ Ingestion Logs ~~~~", log]
    return "\n".join(parts)


_HOW: Final[dict[Status, str]] = {
    "PENDING": "Execution has not started yet.",
    "RUNNING": "Execution goes on.",
    "SUCCESS": "Execution finished successfully!",
    "FAILURE": "Execution finished with errors.",
    "CANCELLED": "Execution was cancelled by request.",
    "TIMEOUT": "Execution took longer than its timeout.",
}


def _line(level: str, at: float, text: str) -> str:
    """A line as acryl-executor's report has it."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S.%f} {level}: {text}"


def _milliseconds(at: float | None) -> int | None:
    return None if at is None else int(at * 1000)
