"""DAGs of `make dev-airflow`: tasks on agents, beside tasks that the scheduler's own host runs."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import (
    DAG,
    DeadlineAlert,
    DeadlineReference,
    SyncCallback,
    get_current_context,
    task,
)

BY_HAND = {"schedule": None, "start_date": datetime(2024, 1, 1, tzinfo=UTC), "catchup": False}
REMOTE = {"executor": "Remote"}
# The operator prints the script, too: what begins a group must not stand in it as it is.
SCRIPT = """
mark='::'
echo "${mark}group${mark}Where this runs"
echo "host $(hostname), job $REMOTE_JOB_ID on agent $REMOTE_AGENT"
echo "${mark}endgroup${mark}"
echo "${mark}group${mark}Colours"
printf '\\033[32mgreen\\033[0m \\033[33myellow\\033[0m \\033[1;31mbold red\\033[0m\\n'
echo "${mark}endgroup${mark}"
echo 42
"""

with DAG("remote_first_steps", tags=["remote"], **BY_HAND):
    here = BashOperator(task_id="on_airflows_own_host", bash_command="hostname")
    there = BashOperator(task_id="on_an_agent", bash_command=SCRIPT, **REMOTE)

    @task(**REMOTE)
    def numbers(last_line: str) -> list[int]:
        """What the task before has printed last comes as XCom, and a list goes on."""
        return list(range(int(last_line) - 32))

    @task(**REMOTE)
    def square(number: int) -> int:
        """One of several at a time."""
        return number * number

    @task(**REMOTE)
    def total(squares: list[int]) -> int:
        """Once more on an agent, with all of their results."""
        print(f"the sum of {len(list(squares))} squares")
        return sum(squares)

    here >> there
    total(square.expand(number=numbers(there.output)))

with DAG("remote_live_log", tags=["remote"], **BY_HAND):

    @task(**REMOTE, executor_config={"remote": {"weight": 0.5, "env": {"GREETING": "hello"}}})
    def a_minute_of_lines() -> None:
        """Something to look at while it runs, and to mark failed."""
        for number in range(60):
            if number % 10 == 0:
                print("::group::Ten lines" if number == 0 else "::endgroup::\n::group::Ten more")
            print(f"\033[36mline {number}\033[0m of 60")
            time.sleep(1)
        print("::endgroup::")

    a_minute_of_lines()

with DAG("remote_waiting", tags=["remote"], **BY_HAND):

    def half_past() -> bool:
        """Whether 30 seconds have passed since the run began: each look is a job."""
        start = get_current_context()["dag_run"].start_date
        return datetime.now(UTC) - start > timedelta(seconds=30)

    PythonSensor(
        task_id="sensor", python_callable=half_past, mode="reschedule", poke_interval=10, **REMOTE
    )
    TimeDeltaSensor(task_id="deferred", delta=timedelta(seconds=30), deferrable=True, **REMOTE)
    BashOperator(
        task_id="second_try",
        bash_command="echo 'try {{ ti.try_number }}'; test {{ ti.try_number }} -gt 1",
        retries=1,
        retry_delay=timedelta(seconds=3),
        **REMOTE,
    )


def too_late(**given: object) -> None:
    """What a missed deadline calls: on an agent, as its executor says."""
    print(f"the deadline has passed; this is job {os.environ['REMOTE_JOB_ID']}, given {given}")


DEADLINE = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(seconds=10),
    callback=SyncCallback(too_late, kwargs={"who": "nobody"}, executor="Remote"),
)

with DAG("remote_deadline", tags=["remote"], deadline=DEADLINE, **BY_HAND):
    BashOperator(task_id="too_slow", bash_command="sleep 30", **REMOTE)
