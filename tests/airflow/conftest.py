"""One deployment of Airflow with one server and one agent for all tests of this folder; the agent's
host has a container engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.airflow import engine
from tests.airflow.deployment import VENV, Airflow
from tests.support.postgresql import PostgresServer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    root: Path = tmp_path_factory.mktemp("airflow")
    with (
        PostgresServer.started() as postgres,
        engine.started(root / "docker") as docker,
        Stack(root) as stack,
    ):
        deployment = Airflow(root / "airflow", stack, postgres, docker=docker)
        try:
            relayed(stack, deployment)
            stack.start_server()
            environments = f'[python]\nenvironments = {{airflow = "{VENV}"}}\n'
            stack.agent("alpha", config=environments, capacity=8)
            deployment.start()
            yield deployment
        finally:
            deployment.close()


def relayed(stack: Stack, deployment: Airflow) -> None:
    """Have the server know the way to the Execution API, for tasks that ask for it."""
    file = stack.root / "server.toml"
    file.write_text(
        f'[relay.airflow]\nurl = "{deployment.url}"\nprefix = "/execution/"\nqueues = ["default"]\n'
    )
    stack.server.env["REMOTE_SERVER_CONFIG"] = str(file)
