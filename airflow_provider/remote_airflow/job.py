"""From a workload to the job that runs it. Pure.

`executor_config={"remote": {…}}` of a task says more of its job; what is wrong with it is said in a
sentence and fails the task.
"""

from __future__ import annotations

from typing import Any, Final

from remote_airflow.settings import Settings
from remote_airflow.task_command import fields_of
from remote_airflow.versions import name_of

TASK: Final = "airflow.task"
"""Annotation: the short name of one try of a task."""
DISPATCH: Final = "airflow.dispatch"
"""Annotation: the dispatch that the job is for."""
_LONGEST: Final = 128
_MOST: Final = 1000
_PLAIN: Final = {
    "labels": "labels",
    "memory": "memory_limit",
    "weight": "weight",
    "on_disconnect": "on_disconnect",
    "agent": "agent",
    "grace_period": "grace_period",
}
_OPTIONS: Final = (*_PLAIN, "secrets", "env", "venv", "container", "push")


class ConfigError(ValueError):
    """`executor_config` of a task is wrong; the text is a sentence."""


def job_of(workload: Any, dispatch: str, settings: Settings) -> dict[str, Any]:
    """The body of the job of a workload. ConfigError."""
    if not hasattr(workload, "ti"):
        return _other(workload, dispatch, settings)
    ti = workload.ti
    options = _options(getattr(ti, "executor_config", None))
    given = options.get("container")
    container = None if given is None else dict(given)
    env = {str(key): str(value) for key, value in options.get("env", {}).items()}
    secrets = list(map(str, options.get("secrets", ())))
    body = fields_of(settings, options.get("venv"), container, (*env, *secrets))
    body["env"] |= env
    body |= {name: options[option] for option, name in _PLAIN.items() if option in options}
    if secrets:
        # Once each: what all tasks have, one may name, too.
        body["secrets"] = list(dict.fromkeys((*settings.secrets, *secrets)))
    body.setdefault("grace_period", 30)
    return {
        "queue": ti.queue,
        "name": f"{ti.dag_id}.{ti.task_id}"[:_LONGEST],
        "priority": max(-_MOST, min(_MOST, int(ti.priority_weight))),
        "max_attempts": 1,
        "annotations": {
            TASK: name_of(ti),
            DISPATCH: dispatch,
            "airflow.dag": ti.dag_id[:_LONGEST],
            "airflow.run": ti.run_id[:_LONGEST],
            "airflow.try": str(ti.try_number),
        },
        "idempotency_key": dispatch,
        "private_input": workload.model_dump_json(),
        **body,
    }


def pushed_bundle(workload: Any, settings: Settings) -> tuple[str, str | None] | None:
    """Name and version of the DAG bundle that goes with the job; None where its host has it. The
    version is that of the run, where the bundle has versions."""
    # The test of a connection has none.
    bundle = getattr(workload, "bundle_info", None)
    if bundle is None or not settings.push_bundles or not settings.pushes(bundle.name):
        return None
    options = _options(getattr(getattr(workload, "ti", None), "executor_config", None))
    return (bundle.name, bundle.version) if options.get("push", True) else None


def _other(workload: Any, dispatch: str, settings: Settings) -> dict[str, Any]:
    """The job of a callback, or of the test of a connection."""
    return {
        "queue": getattr(workload, "queue", None) or settings.queue,
        "name": f"{workload.type}.{workload.display_name}"[:_LONGEST],
        "max_attempts": 1,
        "annotations": {DISPATCH: dispatch, "airflow.workload": workload.type},
        "idempotency_key": dispatch,
        "private_input": workload.model_dump_json(),
        "grace_period": 30,
        **fields_of(settings),
    }


def _options(config: Any) -> dict[str, Any]:
    options = config.get("remote") if isinstance(config, dict) else None
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise ConfigError(
            "executor_config['remote'] is no dictionary; write for example "
            "{'remote': {'memory': '2GiB'}}"
        )
    if unknown := sorted(set(map(str, options)) - set(_OPTIONS)):
        raise ConfigError(
            f"executor_config['remote'] has unknown options: {', '.join(unknown)}; known ones: "
            f"{', '.join(_OPTIONS)}"
        )
    for name, kind, words in (
        ("env", dict, "a dictionary"),
        ("labels", dict, "a dictionary"),
        ("secrets", (list, tuple), "a list of names"),
        ("container", dict, "a dictionary, for example {'image': 'apache/airflow:3.3.2'}"),
        ("venv", str, "the name or path of an environment"),
        ("push", bool, "True or False"),
    ):
        if name in options and not isinstance(options[name], kind):
            raise ConfigError(f"executor_config['remote']['{name}'] is not {words}")
    return options
