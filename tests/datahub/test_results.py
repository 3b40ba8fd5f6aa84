"""What became of an execution, as DataHub says it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_datahub.results import (
    EXPIRED,
    MAX_LINE,
    MAX_REPORT,
    execution_view,
    last_lines,
    status_of,
)
from remote_datahub.spec import DatahubSpec
from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import Job

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def job(state: JobState, **fields: Any) -> Job:
    spec = DatahubSpec(recipe="{}", queue="berlin")
    return Job(ID, spec, state, 1_800_000_000.0, **fields)


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (JobState.QUEUED, None, "PENDING"),
        (JobState.ASSIGNED, None, "PENDING"),
        (JobState.RUNNING, None, "RUNNING"),
        (JobState.SUCCEEDED, EndReason.EXIT, "SUCCESS"),
        (JobState.FAILED, EndReason.EXIT, "FAILURE"),
        (JobState.FAILED, EndReason.LOST, "FAILURE"),
        (JobState.FAILED, EndReason.EXPIRED, "FAILURE"),
        (JobState.FAILED, EndReason.TIMEOUT, "TIMEOUT"),
        (JobState.CANCELLED, EndReason.CANCELLED, "CANCELLED"),
    ],
)
def test_states(state: JobState, reason: EndReason | None, said: str) -> None:
    assert status_of(job(state, end_reason=reason)) == said


def test_one_that_waits_has_nothing_yet() -> None:
    view = execution_view(job(JobState.QUEUED), "e1", "RUN_INGEST")
    assert (view.exec_id, view.executor_id, view.name, view.job) == (
        "e1",
        "berlin",
        "RUN_INGEST",
        ID,
    )
    assert (view.status, view.infos, view.errors) == ("PENDING", [], [])
    assert (view.result.startTimeMs, view.result.durationMs, view.end_time_ms) == (None, None, None)
    assert view.result.structuredReport is None
    assert "Execution has not started yet." in view.result.report


def test_one_that_succeeded_has_times_reports_and_its_log() -> None:
    done = job(
        JobState.SUCCEEDED,
        agent="berlin-1",
        exit_code=0,
        end_reason=EndReason.EXIT,
        started_at=1_800_000_001.5,
        ended_at=1_800_000_004.0,
    )
    view = execution_view(done, "e1", "RUN_INGEST", '{"source": {}}', "line\n")
    result = view.result
    assert (result.status, result.startTimeMs, result.durationMs) == (
        "SUCCESS",
        1_800_000_001_500,
        2_500,
    )
    assert result.executorInstanceId == "berlin-1"
    assert view.end_time_ms == 1_800_000_004_000
    assert json.loads(result.model_dump_json())["structuredReport"] == {
        "type": "RUN_INGEST",
        "serializedValue": '{"source": {}}',
        "contentType": "application/json",
    }
    assert view.infos == [
        "2027-01-15 08:00:01.500000 INFO: Starting execution for task with name=RUN_INGEST",
        "2027-01-15 08:00:01.500000 INFO: Task claimed by executor instance berlin-1",
        "2027-01-15 08:00:04.000000 INFO: Successfully executed 'datahub ingest'",
    ]
    sections = result.report.split("~~~~")
    assert [part.strip() for part in sections[1::2]] == [
        "Execution Summary - RUN_INGEST",
        "Ingestion Report",
        "Ingestion Logs",
    ]
    assert sections[2].strip().startswith("Execution finished successfully!")
    assert sections[-1] == "\nline\n"


def test_failures_say_why() -> None:
    failed = job(
        JobState.FAILED,
        exit_code=137,
        end_reason=EndReason.MEMORY_LIMIT,
        end_detail="used more than 1 GiB",
        started_at=1_800_000_001.0,
        ended_at=1_800_000_002.0,
    )
    view = execution_view(failed, "e1", "TEST_CONNECTION")
    assert view.infos[-1].endswith("Failed to execute 'datahub test connection', exit code 137")
    assert view.errors == ["2027-01-15 08:00:02.000000 ERROR: used more than 1 GiB"]
    assert "used more than 1 GiB" in view.result.report


def test_one_that_waited_too_long_is_told_in_the_words_that_users_look_for() -> None:
    late = job(
        JobState.FAILED,
        end_reason=EndReason.EXPIRED,
        end_detail="it waited longer than 12 h",
        ended_at=1_800_000_002.0,
    )
    view = execution_view(late, "e1", "RUN_INGEST")
    assert view.errors[0].endswith(f"{EXPIRED}: it waited longer than 12 h")
    assert view.result.durationMs is None


def test_the_last_lines_of_a_log() -> None:
    text = "".join(f"line {n}\n" for n in range(10))
    assert last_lines(text, 10) == text
    assert last_lines(text, 2) == "[earlier logs truncated...]\nline 8\nline 9\n"
    assert last_lines(text, 10, whole=False).startswith("[earlier logs truncated...]\nline 0")
    assert last_lines("x" * 9_000, 5) == "x" * MAX_LINE + "…\n"
    assert last_lines("", 5) == "" and last_lines("\n\n", 5) == "\n\n"
    assert last_lines("a\nb", 1) == "[earlier logs truncated...]\nb"
    # Only what ends a line for everybody else ends one here.
    assert last_lines("a\x0bb\u2028c\n", 1) == "a\x0bb\u2028c\n"
    large = last_lines(("y" * 4_000 + "\n") * 2_000, 2_000)
    assert large.startswith("[earlier logs truncated...]\n")
    assert len(large) == MAX_REPORT + len("[earlier logs truncated...]\n")
