"""What a job runs to run a task: the one place that knows it. Reads `run_task.py`.

A program for an environment that the agent's host has, which reads the workload from its standard
input. Where the environment is named, the job is forked from an interpreter of it that has Airflow
imported (docs/jobs.md, "Modules that take long to import"); one that is a path starts a Python.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from remote_airflow.settings import Settings
from remote_airflow.versions import DAG_BAG, SMALLER

_RUNS: Final = {
    # An agent's outage of the network must not end its tasks: Airflow's defaults give up in 27 s.
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "100000",
    # It tries again every 10 s at the most, for 45 minutes: 90 s by default, and meanwhile the
    # supervisor does nothing else, so that the task's words and its end wait as long.
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "500",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "10",
    # What a task has left behind may hold its output open: it ends with the job, not after 60 s.
    "AIRFLOW__WORKERS__SOCKET_CLEANUP_TIMEOUT": "5",
    # How soon a task learns that it was marked or cleared.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
}
_PRELOAD: Final = (
    "airflow.executors.base_executor",
    "airflow.executors.workloads",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.dag_processing.bundles.manager",
    DAG_BAG,
    *SMALLER,
)
"""What takes the seconds before a task."""
_API: Final = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
_RELAYED: Final = "${REMOTE_RELAY_URL}execution/"
"""The address of the attempt's own relay, which its agent puts in."""


def fields_of(
    settings: Settings, venv: str | None, container: dict[str, Any] | None
) -> dict[str, Any]:
    """The fields of a job that say what it runs, and where Airflow finds what it needs."""
    env = {
        **_RUNS,
        # A task that names its executor looks the name up where it runs.
        "AIRFLOW__CORE__EXECUTOR": settings.executor,
        _API: settings.execution_api_url,
        **settings.env,
    }
    body: dict[str, Any] = {}
    if settings.relay and container is None:
        env[_API] = _RELAYED
        body["relay"] = settings.relay
    if container is not None:
        python = container.pop("python", "python")
        return {"kind": "container", **container, "command": [python, "-c", _program()], "env": env}
    name = venv or settings.venv
    if name.startswith("/"):
        python = f"{name.rstrip('/')}/bin/python"
        return {"command": [python, "-c", _program()], "env": env, **body}
    return {
        "kind": "python",
        "environment": name,
        "script": _program(),
        "filename": "run_task.py",
        "preload": list(_PRELOAD),
        # The same for all tasks of a deployment, and Airflow reads them when it is imported. The
        # address of a relay is another one for each, and is read when a task begins.
        "preload_env": sorted(env.keys() - ({_API} if body else set())),
        "env": env,
        **body,
    }


@cache
def _program() -> str:
    return Path(__file__).with_name("run_task.py").read_text()
