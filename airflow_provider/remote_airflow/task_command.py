"""What a job runs to run a task: the one place that knows it. Reads `run_task.py` and the
parts that stand before it.

A program for an environment that the agent's host has, which reads the workload from its standard
input. Where the environment is named, the job is forked from an interpreter of it that has Airflow
imported (docs/jobs.md, "Modules that take long to import"); one that is a path starts a Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
_OF_EACH_OTHER: Final = re.compile(r"(?m)^from remote_airflow\.\w+ import \([^)]*\)\n")
_API: Final = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
_CACHE: Final = "AIRFLOW__REMOTE__PUSH_CACHE"
"""What `task_bundle.py` may keep."""
_RELAYED: Final = "${REMOTE_RELAY_URL}execution/"
"""The address of the attempt's own relay, which its agent puts in."""


def fields_of(
    settings: Settings,
    venv: str | None = None,
    container: dict[str, Any] | None = None,
    own: Iterable[str] = (),
) -> dict[str, Any]:
    """The fields of a job that say what it runs, and where Airflow finds what it needs. `own` are
    the variables that a task says itself."""
    env = {
        **_RUNS,
        # A task that names its executor looks the name up where it runs.
        "AIRFLOW__CORE__EXECUTOR": settings.executor,
        _API: settings.execution_api_url,
        **({_CACHE: str(settings.push_cache)} if settings.push_bundles else {}),
        **settings.env,
    }
    body: dict[str, Any] = {}
    if settings.secrets:
        body["secrets"] = list(settings.secrets)
    has_proxy = any(map(_is_proxy, (*env, *settings.secrets, *own)))
    program = _program(has_proxy, bool(settings.push_bundles))
    # The address of a relay is the loopback of the agent's host.
    if settings.relay and (container is None or container.get("network") == "host"):
        env[_API] = _RELAYED
        body["relay"] = settings.relay
    if container is not None:
        python = container.pop("python", "python")
        command = [python, "-c", program]
        return {"kind": "container", **body, **container, "command": command, "env": env}
    name = venv or settings.venv
    if name.startswith("/"):
        python = f"{name.rstrip('/')}/bin/python"
        return {"command": [python, "-c", program], "env": env, **body}
    return {
        "kind": "python",
        "environment": name,
        "script": program,
        "filename": "run_task.py",
        "preload": list(_PRELOAD),
        # The same for all tasks of a deployment, and Airflow reads them when it is imported. The
        # address of a relay is another one for each, and is read when a task begins, as proxies
        # are; what has a secret in it is there only then.
        "preload_env": sorted(
            name
            for name, value in env.items()
            if not (_is_proxy(name) or _has_secret(value, settings) or value == _RELAYED)
        ),
        "env": env,
        **body,
    }


def _is_proxy(variable: str) -> bool:
    return variable.lower().endswith("_proxy")


def _has_secret(value: str, settings: Settings) -> bool:
    return any(f"${{{name}}}" in value for name in settings.secrets)


@cache
def _program(has_proxy: bool, has_bundle: bool) -> str:
    """The parts one after another. On the host they are one file, and import nothing of each
    other."""
    parts = {
        "task_lines.py": True,
        "task_log.py": True,
        "task_proxy.py": has_proxy,
        "task_bundle.py": has_bundle,
        "run_task.py": True,
    }
    folder = Path(__file__).parent
    text = "\n".join((folder / name).read_text() for name, wanted in parts.items() if wanted)
    return _OF_EACH_OTHER.sub("", text)
