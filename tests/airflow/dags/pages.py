"""A DAG of what people see in Airflow's pages: a log that grows."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, get_current_context, task

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
