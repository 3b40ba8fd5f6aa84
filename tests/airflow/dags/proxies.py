"""Tasks that reach the Execution API by proxies only, on hosts of the queue `far`."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.configuration import conf
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

# Known where Airflow runs, and not on the agent's host.
WITH_PASSWORD, WITHOUT = os.environ.get("AIRFLOW_TESTS_PROXIES", ",").split(",")
API = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"

with DAG("proxies", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=False):
    for name, options in {
        # The proxy that [remote] secrets names: the agent's own.
        "own": {},
        "composed": {
            "secrets": ["PROXY_PASSWORD"],
            "env": {"https_proxy": f"http://me:${{PROXY_PASSWORD}}@127.0.0.1:{WITH_PASSWORD}"},
        },
        "without_password": {"env": {"https_proxy": f"http://127.0.0.1:{WITHOUT}"}},
        "excepted": {
            "env": {
                API: conf.get("core", "execution_api_server_url", fallback=""),
                "HTTP_PROXY": "http://127.0.0.1:1",
                "NO_PROXY": "localhost,127.0.0.1",
            }
        },
    }.items():
        BashOperator(
            task_id=name,
            bash_command="echo {{ var.value.place }}",
            executor="Remote",
            queue="far",
            executor_config={"remote": options},
        )
