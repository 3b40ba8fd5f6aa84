"""DAGs whose tasks end in ways of their own: by hand, by a timeout, killed; what follows then."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseOperator

MANUAL = {"schedule": None, "start_date": datetime(2024, 1, 1, tzinfo=UTC), "catchup": False}
REMOTE = {"executor": "Remote"}
# A child, and one in a session of its own, in the way of whoever forgets the tree.
TREE = """
sh -c 'echo $$ >> "$PIDS"; exec sleep 600' &
setsid sh -c 'echo $$ >> "$PIDS"; trap "" TERM INT; while :; do sleep 600; done' &
echo $$ >> "$PIDS"; wait
"""


def said(line: str) -> None:
    with (Path(os.environ["AIRFLOW_TESTS"]) / "said").open("a") as file:
        file.write(f"{line}\n")


class Kept(BaseOperator):
    """Works until somebody ends it, and says so; at its second try it has nothing to do."""

    def execute(self, context: Any) -> None:
        self.run_id = context["run_id"]
        if context["ti"].try_number > 1:
            return
        print("begins")
        pids = f"{os.environ['AIRFLOW_TESTS']}/pids-{self.run_id}"
        self.child = subprocess.Popen(["sh", "-c", TREE], env=os.environ | {"PIDS": pids})
        self.child.wait()

    def on_kill(self) -> None:
        said(f"on_kill {self.run_id}")
        self.child.terminate()


# Airflow 3.1 waits for that long after a task was cleared.
with DAG("kept", **MANUAL, default_args={"retry_delay": timedelta(seconds=1)}):
    Kept(task_id="waits", **REMOTE)


def sleeps() -> None:
    time.sleep(600)


with DAG("timeouts", **MANUAL):
    soon = {"execution_timeout": timedelta(seconds=2), **REMOTE}
    BashOperator(
        task_id="shell",
        bash_command=f'export PIDS="$AIRFLOW_TESTS/pids-{{{{ run_id }}}}"{TREE}',
        **soon,
    )
    PythonOperator(task_id="python", python_callable=sleeps, **soon)


def killed() -> None:
    """As when memory is short: its supervisor is gone without a word to Airflow."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


with DAG("teardown", **MANUAL):
    work = {
        "raises": BashOperator(task_id="raises", bash_command="exit 3", **REMOTE),
        "killed": PythonOperator(task_id="killed", python_callable=killed, **REMOTE),
    }
    for name, task in work.items():
        note = 'echo "{} {{{{ run_id }}}}" >> "$AIRFLOW_TESTS/said"'
        made = BashOperator(
            task_id=f"make_{name}", bash_command=note.format(f"made {name}"), **REMOTE
        ).as_setup()
        removed = BashOperator(
            task_id=f"remove_{name}", bash_command=note.format(f"removed {name}"), **REMOTE
        ).as_teardown(setups=made)
        made >> task >> removed
