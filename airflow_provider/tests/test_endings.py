"""What Airflow's page says of a task that has said nothing itself."""

from __future__ import annotations

import json
from inspect import isgenerator
from typing import Any

import pytest

from remote_airflow.executor_setting import OURS
from remote_airflow.logs import FinishedLogs

from .conftest import FakeServer, Instance, run, until, workload

NOISE = b"""2026-11-27T22:39:17Z [info     ] Process exited
2026-11-27T22:39:18Z [warning  ] Starting call to 'airflow.sdk.api.client.Client.request', this is
"""


@pytest.fixture
def work(executor: Any, server: FakeServer) -> tuple[Any, str]:
    """A task whose job the server has; and the job."""
    one = workload("t")
    (dispatch,) = run(executor, one)
    until(lambda: dispatch in server.keys, "it is submitted")
    return one, server.keys[dispatch]


def shown(work: Any, state: str) -> tuple[str, list[str]]:
    """Where its log comes from, and what its lines say."""
    ti = Instance(work, work.ti.external_executor_id, state)
    (source,), (lines,) = FinishedLogs().stream(work.log_path, ti)
    return source, [json.loads(line)["event"] for line in lines]


def test_a_job_that_fails_before_its_task_says_why(
    work: tuple[Any, str], server: FakeServer
) -> None:
    task, job = work
    fields = {"end_reason": "exit", "exit_code": 1, "end_detail": "exited with code 1"}
    server.move(server.jobs[job]["idempotency_key"], "failed", agent="alpha", **fields)
    server.errors[job] = b"noise\n" * 50 + NOISE + b"/opt/venv/bin/python has no Airflow\n"
    source, lines = shown(task, "failed")
    assert source.endswith(f"/jobs/{job} on agent alpha")
    assert lines[0] == f"job {job} failed (exit) exit code 1: exited with code 1"
    assert lines[1:] == ["noise"] * 14 + ["/opt/venv/bin/python has no Airflow"]
    # What the task has said comes first.
    server.logs[job] = b'{"event": "of the task"}\n'
    assert shown(task, "failed")[1] == ["of the task", *lines]
    # Nobody looks for errors of one that was ended by hand.
    server.move(server.jobs[job]["idempotency_key"], "cancelled", end_detail="by ada")
    assert len(shown(task, "failed")[1]) == 2


def test_a_job_that_waits_says_for_what(work: tuple[Any, str], server: FakeServer) -> None:
    task, job = work
    server.jobs[job]["pending_reason"] = "no agent serves queue 'lonely'"
    source, lines = shown(task, "queued")
    assert source.endswith("waits: no agent serves queue 'lonely'")
    assert lines == ["The job of this task waits: no agent serves queue 'lonely'"]


def test_a_job_that_does_not_reach_airflow_says_so(
    work: tuple[Any, str], server: FakeServer
) -> None:
    task, job = work
    server.move(server.jobs[job]["idempotency_key"], "running", agent="alpha")
    server.errors[job] = b"Airflow's Execution API at http://x/execution/ does not answer\n"
    _, lines = shown(task, "queued")
    assert lines == [
        "The job of this task runs on agent alpha; the task has not told Airflow of it yet",
        "Airflow's Execution API at http://x/execution/ does not answer",
    ]


def test_a_task_that_succeeded_gets_no_more_lines(
    work: tuple[Any, str], server: FakeServer
) -> None:
    task, job = work
    server.move(server.jobs[job]["idempotency_key"], "succeeded")
    server.logs[job], server.errors[job] = b'{"event": "of the task"}\n', b"a warning\n"
    assert shown(task, "success")[1] == ["of the task"]


def test_a_task_that_was_refused_says_where_the_reason_stands(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = workload("t")

    def said(executor: str, state: str) -> Any:
        ti = Instance(refused, None, state)
        ti.executor = executor
        return FinishedLogs().stream(refused.log_path, ti)

    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", f"LocalExecutor,Remote:{OURS}")
    sources, (lines,) = said("Remote", "failed")
    assert sources == [] and isgenerator(lines), "Airflow's page refuses other iterators"
    assert "Audit Log of the task says why" in next(lines)
    for executor, state in (("LocalExecutor", "failed"), ("Remote", "upstream_failed")):
        assert said(executor, state) == ([], [])


def test_a_server_that_cannot_be_asked_is_said_where_people_look(
    work: tuple[Any, str], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", OURS)
    server.away = True
    source, lines = shown(work[0], "queued")
    assert lines == [source]
    assert source.startswith("The log cannot be read from the remote-server now: the server")
