"""Callbacks of deadlines and tests of connections, which an executor runs: on agents."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.airflow.deployment import VERSION, Airflow

pytestmark = pytest.mark.skipif(
    VERSION is not None and VERSION.startswith(("3.1.", "3.2.")),
    reason="Airflow before 3.3 gives executors tasks only, for all that ours can run",
)


def jobs_named(airflow: Airflow, name: str) -> list[Any]:
    return [one for one in airflow.stack.client.jobs(limit=200).items if one.name == name]


def test_a_missed_deadline_calls_back_on_an_agent(airflow: Airflow) -> None:
    airflow.waits(lambda: {"missed", "missed_badly"} <= airflow.dags(), "the DAGs are known")
    airflow.trigger("missed")
    file = airflow.said_folder / "missed"
    said = airflow.waits(lambda: file.exists() and file.read_text(), "it is called back")
    (job,) = jobs_named(airflow, "ExecuteCallback.missed")
    assert said == f"somebody in job {job.id}\n"
    words = "completed successfully"
    airflow.waits(lambda: words in airflow.parts["scheduler"].words(), "Airflow knows that")
    shown = airflow.stack.client.job(job.id)
    assert shown.private_input is True and not re.search(r"eyJ\w", str(shown))


def test_a_callback_that_fails_is_told_with_the_reason(airflow: Airflow) -> None:
    airflow.trigger("missed_badly")
    airflow.waits(lambda: jobs_named(airflow, "ExecuteCallback.broken"), "it is called back")
    (job,) = jobs_named(airflow, "ExecuteCallback.broken")
    words = f"failed: job {job.id} failed (exit) exit code 1"
    airflow.waits(lambda: words in airflow.parts["scheduler"].words(), "Airflow knows why")
    assert b"nobody can be told" in airflow.stack.client.log(job.id)
    assert airflow.parts["scheduler"].running


def test_a_connection_is_tested_here_and_on_an_agent(airflow: Airflow) -> None:
    token = airflow.stack.client.create_token("airflow-test").token
    fleet = {"connection_id": "fleet", "conn_type": "remote_agent", "host": airflow.stack.url}
    tested = airflow.post("/connections/test", {**fleet, "password": airflow.stack.admin_token})
    # What other tests have made may stand between them, such as queues without agents.
    assert tested["status"] is True and tested["message"].endswith("; 1 agent is online")
    assert tested["message"].startswith("remote-server 0.1.0, token first-admin (admin); ")
    tested = airflow.post("/connections/test", {**fleet, "password": token})
    assert tested["status"] is False and "the token may only look" in tested["message"]

    folder = {"connection_id": "folder", "conn_type": "fs", "extra": '{"path": "/"}'}
    asked = airflow.post("/connections/enqueue-test", {**folder, "executor": "Remote"})

    def ended() -> Any:
        headers = {"Airflow-Connection-Test-Token": asked["token"]}
        found = airflow.get("/connections/enqueue-test", headers=headers)
        return found if found["state"] in ("success", "failed") else None

    answer = airflow.waits(ended, "it was tested")
    assert (answer["state"], answer["result_message"]) == ("success", "Path / is existing.")
    assert jobs_named(airflow, "TestConnection.connection-test folder")
