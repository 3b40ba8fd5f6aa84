"""A task on an agent, and one by Celery, of one DAG."""

from __future__ import annotations

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("remote_compose"):
    (
        BashOperator(
            task_id="on_agent", executor="Remote", bash_command="echo this is agent $(hostname)"
        )
        >> BashOperator(task_id="by_celery", bash_command="echo this is a worker of Celery")
    )
