"""The DAGs of the tests. What a task does once is a line in the file that its run names."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, task
from airflow.sdk.log import mask_secret

MANUAL = {"schedule": None, "start_date": datetime(2024, 1, 1, tzinfo=UTC), "catchup": False}
REMOTE = {"executor": "Remote"}


def said(line: str) -> None:
    with (Path(os.environ["AIRFLOW_TESTS"]) / "said").open("a") as file:
        file.write(f"{line}\n")


with DAG("operators", **MANUAL, default_args={"retry_delay": timedelta(seconds=1)}):
    first = BashOperator(task_id="first", bash_command="echo 100 {{ run_id }}", **REMOTE)

    @task(retries=1, **REMOTE)
    def second(given: str, ti: object = None) -> list[int]:
        said(f"second {ti.try_number}")
        if ti.try_number == 1:
            raise RuntimeError("the first try fails")
        print(f"was given {given}")
        return list(range(int(given.split(maxsplit=1)[0])))

    @task(**REMOTE)
    def mapped(number: int) -> int:
        said(f"mapped {number}")
        return number

    third = BashOperator(
        task_id="third",
        bash_command="echo {{ ti.xcom_pull('mapped') | sum }} of {{ params.name }}",
        params={"name": "all"},
        **REMOTE,
    )
    mapped.expand(number=second(first.output)) >> third


def makes(greeting: str, ti: object) -> dict[str, object]:
    ti.xcom_push(key="letters", value=sorted(set(greeting)))
    return {"greeting": greeting, "size": len(greeting)}


def takes(size: int, letters: list[str], templates_dict: dict[str, str], **context: object) -> str:
    assert size == context["params"]["size"], (size, context["params"])
    return f"{size} {''.join(letters)} {templates_dict['where']}"


# Templates get what they name from the Execution API: XCom, parameters, variables, connections.
with DAG(
    "python", **MANUAL, params={"greeting": "hello", "size": 5}, render_template_as_native_obj=True
):
    pushes = PythonOperator(
        task_id="pushes",
        python_callable=makes,
        op_args=["{{ params.greeting }}"],
        **REMOTE,
    )
    pulls = PythonOperator(
        task_id="pulls",
        python_callable=takes,
        op_kwargs={
            "size": "{{ ti.xcom_pull('pushes')['size'] }}",
            "letters": "{{ ti.xcom_pull('pushes', key='letters') }}",
        },
        templates_dict={"where": "{{ var.value.place }} {{ conn.site.host }}:{{ conn.site.port }}"},
        **REMOTE,
    )
    shows = BashOperator(
        task_id="shows", bash_command='echo "$SAID"', env={"SAID": pulls.output}, **REMOTE
    )
    pushes >> pulls

with DAG("gated", **MANUAL):
    for number in range(3):
        BashOperator(
            task_id=f"gate{number}",
            bash_command=f"""
            echo "gate{number} began {{{{ run_id }}}}" >> "$AIRFLOW_TESTS/said"
            until [ -e "$AIRFLOW_TESTS/open-{{{{ run_id }}}}" ]; do sleep 0.2; done
            echo "gate{number} ended {{{{ run_id }}}}" >> "$AIRFLOW_TESTS/said"
            """,
            **REMOTE,
        )

with DAG("refused", **MANUAL):
    BashOperator(
        task_id="unknown_option",
        bash_command="true",
        executor_config={"remote": {"colour": "red"}},
        **REMOTE,
    )
    BashOperator(task_id="unknown_queue", bash_command="true", queue="nowhere", **REMOTE)


def enough() -> bool:
    """Whether it was asked before."""
    said("poke")
    return (Path(os.environ["AIRFLOW_TESTS"]) / "said").read_text().count("poke") > 1


with DAG("waiting", **MANUAL):
    PythonSensor(
        task_id="sensor", python_callable=enough, mode="reschedule", poke_interval=1, **REMOTE
    )
    TimeDeltaSensor(task_id="deferred", delta=timedelta(seconds=25), deferrable=True, **REMOTE)


def prints_much() -> None:
    secret = " ".join(("quite", "a", "secret!"))
    mask_secret(secret)
    own = logging.getLogger("somebody")
    for number in range(2000):
        print(f"printed {number}")
        own.info("logged %d with %s", number, secret)
    print(f"printed {secret}")
    os.write(1, b"not UTF-8 \xff\n")


with DAG("much", **MANUAL, default_args=REMOTE):
    BashOperator(task_id="bash", bash_command="seq -f 'numbered %.0f' 1 50000")
    PythonOperator(task_id="python", python_callable=prints_much)
