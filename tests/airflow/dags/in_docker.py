"""Tasks in containers, on the engine of the agent's host; apart from the others, for it takes long
to import."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

MANUAL = {"schedule": None, "start_date": datetime(2024, 1, 1, tzinfo=UTC), "catchup": False}
REMOTE = {"executor": "Remote"}
OURS = {
    "image": "remote-airflow-test",
    "network_mode": "none",
    "mount_tmp_dir": False,
    "auto_remove": "force",
    **REMOTE,
}

with DAG("docker", **MANUAL):
    inside = DockerOperator(
        task_id="inside",
        command=["sh", "-c", "echo this is $(hostname); echo 'for {{ params.whom }}'"],
        hostname="a-container",
        params={"whom": "everybody"},
        **OURS,
    )
    BashOperator(
        task_id="shows", bash_command='echo "$SAID"', env={"SAID": inside.output}, **REMOTE
    )

with DAG("docker_long", **MANUAL):
    DockerOperator(
        task_id="waits",
        # One that ignores SIGTERM is killed after 10 s, when its task, which would remove it, is
        # gone: Airflow leaves it 5 s.
        command=["sh", "-c", "trap exit TERM; echo begins; sleep 600 & wait"],
        **OURS,
    )
