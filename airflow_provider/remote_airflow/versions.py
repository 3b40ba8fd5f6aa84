"""What differs between versions of Airflow: the one place that asks. Imports Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from airflow.executors.base_executor import BaseExecutor

from remote_airflow.packing import PackError

PRE_ASSIGNS = hasattr(BaseExecutor, "pre_assigns_external_executor_id")
"""Since 3.2 the scheduler gives a task an external id, committed with its state `queued`."""


DAG_BAG = (
    "airflow.dag_processing.dagbag"
    if find_spec("airflow.dag_processing.dagbag")
    else "airflow.models.dagbag"
)
"""Where a task's DAG is loaded; agents' hosts have the same version."""

SMALLER = tuple(
    name
    for name in (
        "airflow.dag_processing.bundles.local",
        "airflow.sdk.bases.hook",
        "airflow.sdk.definitions.connection",
        "jinja2.ext",
    )
    if find_spec(name)
)
"""What each task loads besides, with Airflow itself."""


def stats() -> Any:
    """What takes metrics: the back-end that Airflow is configured with."""
    try:
        # Since 3.2; before it was `airflow.stats`.
        return import_module("airflow.observability.stats").Stats
    except ImportError:
        return import_module("airflow.stats").Stats


@contextmanager
def bundle_root(name: str, version: str | None) -> Iterator[str]:
    """The folder of a DAG bundle on this host, which stays while it is used. PackError."""
    from airflow.dag_processing.bundles.base import BundleVersionLock

    try:
        bundle = _bundles().get_bundle(name, version)
    except ValueError:
        raise PackError(
            "it is not among [dag_processor] dag_bundle_config_list of the scheduler; have the "
            "same list there as at the dag-processor"
        ) from None
    with BundleVersionLock(name, version):
        try:
            bundle.initialize()
            if version is None and bundle.supports_versioning:
                bundle.refresh()
            root = str(bundle.path)
        except Exception as error:
            raise PackError(
                f"the scheduler cannot have it{f' in version {version}' if version else ''}: "
                f"{error}{_cause(error)}"
            ) from error
        yield root


def _cause(error: Exception) -> str:
    """What git itself has said: Airflow's error has it behind it only."""
    said = str(getattr(error.__cause__, "stderr", "")).replace("stderr:", "")
    lines = [line for line in map(str.strip, said.strip(" '\n").splitlines()) if line]
    faults = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    return f" ({faults[0][:300]})" if faults else ""


@cache
def _bundles() -> Any:
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    return DagBundlesManager()


RUNS_ALL = hasattr(BaseExecutor, "run_workload")
"""Since 3.3 one call in a job runs whatever an executor is given: tasks, callbacks, tests of
connections. Before, only tasks are taken."""


def key_of(workload: Any) -> Any:
    """What names a workload in the executor."""
    return workload.ti.key if hasattr(workload, "ti") else workload.key


def dispatch_id(workload: Any) -> tuple[str, bool]:
    """What names this dispatch of a task, another one for each dispatch, and whether the scheduler
    has it already. Otherwise it has to be told (`queued`), so that the task can be adopted.
    Callbacks and tests of connections are dispatched once, and have ids of their own."""
    if not hasattr(workload, "ti"):
        return str(workload.key), True
    given = getattr(workload.ti, "external_executor_id", None) if PRE_ASSIGNS else None
    return (str(given), True) if given else (str(uuid4()), False)


def task_name(dag: str, run: str, task: str, map_index: int, try_number: int) -> str:
    """A short name of one try of a task, by which its jobs are found: each of its dispatches is a
    job. Task instances get UUIDs as keys in 3.4; ids of instances change between tries."""
    text = "\0".join((dag, run, task, str(map_index), str(try_number)))
    return sha256(text.encode()).hexdigest()[:40]


def name_of(ti: Any, try_number: int | None = None) -> str:
    """The same, of a task instance of any kind: a row, a row of its history, or a workload's."""
    number = ti.try_number if try_number is None else try_number
    return task_name(ti.dag_id, ti.run_id, ti.task_id, ti.map_index, number)
