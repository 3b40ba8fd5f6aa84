"""A DAG whose bundle has versions: this is version VERSION of the bundle BUNDLE."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

# What comes with its task needs no program of the host, git least of all.
FETCHED = "BUNDLE".endswith("fetched")
OPTIONS: dict[str, Any] = {} if FETCHED else {"remote": {"env": {"PATH": "/nowhere"}}}


def folder() -> Path:
    return Path(os.environ["AIRFLOW_TESTS"])


def says(what: str) -> None:
    with (folder() / "BUNDLE-says").open("a") as file:
        file.write(f"{what} VERSION {__file__}\n")


with DAG("BUNDLE", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=False):

    @task(executor="Remote", executor_config=OPTIONS)
    def first() -> None:
        says("first")
        deadline = time.monotonic() + 120
        while not (folder() / "go-on").exists() and time.monotonic() < deadline:
            time.sleep(0.1)

    @task(executor="Remote", executor_config=OPTIONS)
    def second() -> None:
        says("second")

    first() >> second()
