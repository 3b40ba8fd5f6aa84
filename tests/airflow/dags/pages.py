"""DAGs of what people see in Airflow's pages: a log that grows, and a deadline that is missed."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import (
    DAG,
    DeadlineAlert,
    DeadlineReference,
    SyncCallback,
    get_current_context,
    task,
)

MANUAL = {"schedule": None, "start_date": datetime(2024, 1, 1, tzinfo=UTC), "catchup": False}
REMOTE = {"executor": "Remote"}
FOLDER = "AIRFLOW_TESTS"


def awaits(gate: str) -> None:
    """Wait until the test opens a gate of this run."""
    file = Path(os.environ[FOLDER]) / f"{gate}-{get_current_context()['run_id']}"
    while not file.exists():
        time.sleep(0.1)


with DAG("shown", **MANUAL):

    @task(**REMOTE)
    def talks() -> None:
        """Says something, and more when it is asked to."""
        print("::group::Colours of a task")
        print("\033[32mgreen\033[0m and \033[31mred\033[0m")
        print("::endgroup::")
        awaits("open")
        print("said after the page was opened")
        # Airflow sorts lines by when its supervisor got them: one right before the end comes late.
        awaits("end")

    talks()


def missed(who: str) -> None:
    """What a missed deadline calls."""
    with (Path(os.environ[FOLDER]) / "missed").open("a") as file:
        file.write(f"{who} in job {os.environ['REMOTE_JOB_ID']}\n")


def broken() -> None:
    """One that fails."""
    raise RuntimeError("nobody can be told")


def alert(callback: SyncCallback) -> DeadlineAlert:
    """At once."""
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=1),
        callback=callback,
    )


with DAG("missed", deadline=alert(SyncCallback(missed, {"who": "somebody"})), **MANUAL):
    BashOperator(task_id="slow", bash_command="sleep 5", **REMOTE)

with DAG("missed_badly", deadline=alert(SyncCallback(broken)), **MANUAL):
    BashOperator(task_id="slow", bash_command="sleep 5", **REMOTE)
