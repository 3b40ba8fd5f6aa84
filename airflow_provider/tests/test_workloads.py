"""What an executor is given besides tasks: callbacks, and tests of connections."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest

from remote_airflow.versions import RUNS_ALL

from .conftest import FakeServer, callback, told, until

pytestmark = pytest.mark.skipif(
    not RUNS_ALL, reason="Airflow before 3.3 has no call that runs them in a job"
)


def connection_test(queue: str | None = None) -> Any:
    from airflow.executors import workloads

    return workloads.TestConnection.model_validate(
        {
            "connection_test_id": str(uuid.uuid4()),
            "connection_id": "warehouse",
            "timeout": 60,
            "queue": queue,
            "token": "eyJ-a-token",
        }
    )


def given(executor: Any, server: FakeServer, work: Any) -> dict[str, Any]:
    """The job of a workload that the scheduler has queued."""
    executor.queue_workload(work, session=None)
    executor.heartbeat()
    assert work.key in executor.running
    assert not executor.queued_callbacks and not executor.queued_connection_tests
    until(lambda: str(work.key) in server.keys, "it is submitted")
    return server.job_of(str(work.key))


def test_both_are_taken() -> None:
    from remote_airflow.executor import RemoteExecutor

    assert (
        RUNS_ALL and RemoteExecutor.supports_callbacks and RemoteExecutor.supports_connection_test
    )


def test_a_callback_is_a_job_and_its_end_is_told(executor: Any, server: FakeServer) -> None:
    work = callback()
    job = given(executor, server, work)
    assert (job["queue"], job["name"]) == ("default", "ExecuteCallback.too_late")
    assert job["max_attempts"] == 1 and job["environment"] == "airflow"
    assert json.loads(job["private_input"])["callback"]["data"]["kwargs"] == {"who": "nobody"}
    assert not re.search(r"eyJ\w", str({**job, "private_input": ""}))
    server.move(str(work.key), "running")
    told(executor, work.key, "running")
    server.move(str(work.key), "succeeded", exit_code=0)
    told(executor, work.key, "success")
    assert work.key not in executor.running


def test_why_a_callback_has_failed_is_its_output(executor: Any, server: FakeServer) -> None:
    work = callback()
    given(executor, server, work)
    server.move(str(work.key), "failed", exit_code=1, end_reason="exit")
    told(executor, work.key, "failed")
    _, output = executor.get_event_buffer()[work.key]
    assert output.endswith("failed (exit) exit code 1")
    assert not executor._task_event_logs, "Airflow's log of events is for tasks"


def test_a_connection_is_tested_where_it_was_asked_for(executor: Any, server: FakeServer) -> None:
    work = connection_test("berlin")
    job = given(executor, server, work)
    name = "TestConnection.connection-test warehouse"
    assert (job["queue"], job["name"]) == ("berlin", name)
    server.move(str(work.key), "succeeded", exit_code=0)
    told(executor, work.key, "success")


def test_a_test_that_airflow_gives_up_is_cancelled(executor: Any, server: FakeServer) -> None:
    work = connection_test()
    job = given(executor, server, work)
    executor.fail_connection_test(work.key)
    executor.heartbeat()
    until(lambda: server.cancelled == [job["id"]], "its job is cancelled")


def test_what_the_server_refuses_is_told(executor: Any) -> None:
    work = connection_test("nowhere")
    executor.queue_workload(work, session=None)
    told(executor, work.key, "failed")
    assert "no queue 'nowhere'" in executor.get_event_buffer()[work.key][1]


def test_what_cannot_be_run_fails_in_words_and_ends_no_scheduler(
    executor: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before 3.3, where the base class raises in the scheduler's loop."""
    monkeypatch.setattr(type(executor), "supports_callbacks", False)
    work = callback()
    executor.queue_workload(work, session=None)
    state, said = executor.get_event_buffer()[work.key]
    assert state == "failed"
    assert said.startswith(
        "agents run only tasks of this version of Airflow; name another executor"
    )
    executor.heartbeat()
    assert not server.jobs and not executor.queued_callbacks


def test_a_callbacks_bundle_goes_with_it_and_a_test_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.configuration import conf

    from remote_airflow.job import pushed_bundle
    from remote_airflow.settings import load

    monkeypatch.setenv("AIRFLOW__REMOTE__PUSH_BUNDLES", "dags-folder")
    settings = load(conf)
    assert pushed_bundle(callback(), settings) == ("dags-folder", None)
    assert pushed_bundle(connection_test(), settings) is None
