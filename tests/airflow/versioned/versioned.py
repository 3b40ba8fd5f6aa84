"""A DAG whose bundle has versions: this is version VERSION."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, task


def folder() -> Path:
    return Path(os.environ["AIRFLOW_TESTS"])


def says(what: str) -> None:
    with (folder() / "versions").open("a") as file:
        file.write(f"{what} VERSION\n")


with DAG("versioned", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=False):

    @task(executor="Remote")
    def first() -> None:
        says("first")
        deadline = time.monotonic() + 120
        while not (folder() / "go-on").exists() and time.monotonic() < deadline:
            time.sleep(0.1)

    @task(executor="Remote")
    def second() -> None:
        says("second")

    first() >> second()
