"""What the team TEAM has: a DAG in a bundle of its own."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.exceptions import AirflowNotFoundException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseHook, task

MANUAL = {"schedule": None, "start_date": datetime(2024, 1, 1, tzinfo=UTC), "catchup": False}

with DAG("of_TEAM", **MANUAL, default_args={"queue": "site"}):
    # Airflow gives it to the executor of that name that is everybody's.
    named = BashOperator(
        task_id="named",
        executor="Remote",
        bash_command="""
        echo "of TEAM"
        until [ -e "$AIRFLOW_TESTS/open-TEAM" ]; do sleep 0.2; done
        """,
    )

    @task  # By the first executor of its team.
    def reaches() -> dict[str, object]:
        """What it gets, and what of Airflow's settings its host has got."""
        found: dict[str, object] = {}
        for team in ("blue", "red"):
            try:
                found[team] = BaseHook.get_connection(f"of-{team}").host
            except AirflowNotFoundException:
                found[team] = "none"
        told = ("REMOTE__URL", "REMOTE__TOKEN", "REMOTE__CONN", "AIRFLOW_CONN")
        found["settings"] = sorted(name for name in os.environ if any(one in name for one in told))
        return found

    named >> reaches()
