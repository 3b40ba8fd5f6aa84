"""What differs between versions of Airflow: the one place that asks. Imports Airflow."""

from __future__ import annotations

from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from uuid import uuid4

from airflow.executors.base_executor import BaseExecutor

PRE_ASSIGNS = hasattr(BaseExecutor, "pre_assigns_external_executor_id")
"""Since 3.2 the scheduler gives a task an external id, committed with its state `queued`."""


DAG_BAG = (
    "airflow.dag_processing.dagbag"
    if find_spec("airflow.dag_processing.dagbag")
    else "airflow.models.dagbag"
)
"""Where a task's DAG is loaded; agents' hosts have the same version."""


def stats() -> Any:
    """What takes metrics: the back-end that Airflow is configured with."""
    try:
        # Since 3.2; before it was `airflow.stats`.
        return import_module("airflow.observability.stats").Stats
    except ImportError:
        return import_module("airflow.stats").Stats


def dispatch_id(workload: Any) -> tuple[str, bool]:
    """What names this dispatch of a task, another one for each dispatch, and whether the scheduler
    has it already. Otherwise it has to be told (`queued`), so that the task can be adopted."""
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
