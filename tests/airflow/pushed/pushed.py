"""A DAG of a bundle that is on the scheduler's host only, with a module and a script beside it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task
from shared.colours import COLOUR

with DAG("pushed", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=False):

    @task(executor="Remote")
    def says() -> None:
        with (Path(os.environ["AIRFLOW_TESTS"]) / "pushed").open("a") as file:
            file.write(f"{COLOUR} {__file__}\n")

    # Where the bundle is, its DAG says itself: a script that it brings is executable there.
    script = Path(__file__).with_name("shared") / "script.sh"
    says() >> BashOperator(task_id="script", bash_command=f"{script} ", executor="Remote")
