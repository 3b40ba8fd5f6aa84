"""What a job runs to run a task: the one place that knows it. Reads `run_task.py`.

A program in a prepared environment of the host, which reads the workload from its standard input.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from remote_airflow.settings import Settings

_RUNS: dict[str, str] = {
    # An agent's outage of the network must not end its tasks: Airflow's defaults give up in 27 s.
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "100000",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "60",
    # The supervisor looks for the end of its task between heartbeats.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "PYTHONUNBUFFERED": "1",
}


def fields_of(settings: Settings, venv: str | None, container: dict[str, Any] | None) -> Any:
    """The fields of a job that say what it runs, and where Airflow finds what it needs."""
    env = {
        **_RUNS,
        # A task that names its executor looks the name up where it runs.
        "AIRFLOW__CORE__EXECUTOR": settings.executor,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": settings.execution_api_url,
        **settings.env,
    }
    if container is not None:
        python = container.pop("python", "python")
        return {"kind": "container", **container, "command": [python, "-c", _program()], "env": env}
    return {"command": [f"{_folder(settings, venv)}/bin/python", "-c", _program()], "env": env}


def _folder(settings: Settings, venv: str | None) -> str:
    name = venv or settings.venv
    return name.rstrip("/") if name.startswith("/") else f"{settings.venv_dir.rstrip('/')}/{name}"


@cache
def _program() -> str:
    return Path(__file__).with_name("run_task.py").read_text()
