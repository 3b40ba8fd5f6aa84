"""What both sides run: the same DAGs, once for each executor, named after it.

A task that is counted notes each of its starts.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

MANUAL = {"schedule": None, "start_date": datetime(2024, 1, 1, tzinfo=UTC), "catchup": False}
MANY = 60
# The line is not in the command, which is a line of the log, too.
LINES = "x=0123456789abcdef; yes $x$x${x}0123456789abcde | head -c {{ dag_run.conf['bytes'] }}"
TICKS = """
echo "{{ run_id }}" >> "$AIRFLOW_TESTS/said"
for i in $(seq 1 {{ dag_run.conf['ticks'] }}); do echo TICK $i $(date +%s.%N); sleep 0.2; done
"""

for name, executor in (("edge", "Edge"), ("remote", "Remote")):
    own = {**MANUAL, "default_args": {"executor": executor}, "max_active_tasks": 100}
    with DAG(f"{name}_one", **own):
        BashOperator(task_id="one", bash_command="true")
    with DAG(f"{name}_many", **own):
        for number in range(MANY):
            BashOperator(task_id=f"task{number}", bash_command="true")
    with DAG(f"{name}_eight", **own):
        for number in range(8):
            BashOperator(task_id=f"task{number}", bash_command="sleep 25")
    with DAG(f"{name}_ticks", **own):
        BashOperator(task_id="one", bash_command=TICKS)
    with DAG(f"{name}_big", **own):
        BashOperator(task_id="one", bash_command=LINES)
