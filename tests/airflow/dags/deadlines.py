"""DAGs whose deadlines are missed, as Airflow has them since 3.2."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, DeadlineAlert, DeadlineReference, SyncCallback

MANUAL = {"schedule": None, "start_date": datetime(2024, 1, 1, tzinfo=UTC), "catchup": False}
REMOTE = {"executor": "Remote"}


def missed(who: str) -> None:
    """What a missed deadline calls."""
    with (Path(os.environ["AIRFLOW_TESTS"]) / "missed").open("a") as file:
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


with DAG(dag_id="missed", deadline=alert(SyncCallback(missed, {"who": "somebody"})), **MANUAL):
    BashOperator(task_id="slow", bash_command="sleep 5", **REMOTE)

with DAG(dag_id="missed_badly", deadline=alert(SyncCallback(broken)), **MANUAL):
    BashOperator(task_id="slow", bash_command="sleep 5", **REMOTE)
