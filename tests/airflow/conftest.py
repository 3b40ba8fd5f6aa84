"""One deployment of Airflow with one server and one agent for all tests of this folder; the agent's
host has a container engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.airflow import engine
from tests.airflow.deployment import VENV, VERSION, Airflow
from tests.airflow.teams import Teams
from tests.support.postgresql import PostgresServer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="session")
def teams(root: Path) -> Iterator[Teams | None]:
    """Of the newest Airflow; older ones are tested without."""
    with nullcontext() if VERSION else Teams(root / "teams") as found:
        yield found


@pytest.fixture(scope="session")
def airflow(root: Path, teams: Teams | None) -> Iterator[Airflow]:
    with (
        PostgresServer.started() as postgres,
        engine.started(root / "docker") as docker,
        Stack(root) as stack,
    ):
        deployment = Airflow(root / "airflow", stack, postgres, docker=docker, teams=teams)
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
