"""Two teams beside everybody: each with a bundle of DAGs, a server, a token and an agent.

blue says its server in settings, and its bundle comes with its tasks; red by a connection of its
own, and its agent's host has the bundle.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from remote_protocol.api.queues import QueueCreate
from tests.airflow.deployment import EXECUTOR, HERE, LOCAL, VENV, Airflow
from tests.support.stack import Stack

TEAMS = ("blue", "red")


class Teams:
    """Their servers, which run from the beginning; agents are started by who needs them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stacks: dict[str, Stack] = {}
        for team in TEAMS:
            (root / team / "dags").mkdir(parents=True)
            text = (HERE / "teamed" / "team.py").read_text()
            (root / team / "dags" / "team.py").write_text(text.replace("TEAM", team))
            self.stacks[team] = Stack(root / team)

    def __enter__(self) -> Self:
        for team, stack in self.stacks.items():
            stack.start_server()
            stack.client.create_queue(QueueCreate(name="site"))
            words = ("--name", f"airflow-{team}", "--role", "operator", "--queue", "site")
            file = stack.root / "token"
            stack.ctl("token", "create", *words, "--output-file", file, check=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for stack in self.stacks.values():
            stack.close()

    def bundles(self) -> list[dict[str, Any]]:
        """Their entries in Airflow's list."""
        return [
            {
                "name": f"dags-of-{team}",
                "classpath": LOCAL,
                "kwargs": {"path": str(self.root / team / "dags")},
                "team_name": team,
            }
            for team in TEAMS
        ]

    def env(self, said_folder: Path) -> dict[str, str]:
        """What docs/airflow.md says of them."""
        red = self.stacks["red"]
        connection = {
            "conn_type": "remote_agent",
            "host": red.url,
            "password": (red.root / "token").read_text().strip(),
        }
        found = {
            "AIRFLOW__CORE__MULTI_TEAM": "True",
            "AIRFLOW__CORE__EXECUTOR": f"{EXECUTOR};blue={EXECUTOR};red={EXECUTOR}",
            "AIRFLOW__BLUE___REMOTE__URL": self.stacks["blue"].url,
            "AIRFLOW__BLUE___REMOTE__TOKEN_FILE": str(self.root / "blue" / "token"),
            "AIRFLOW__BLUE___REMOTE__PUSH_BUNDLES": "dags-of-blue",
            "AIRFLOW__RED___REMOTE__CONN_ID": "fleet",
            "AIRFLOW_CONN__RED___FLEET": json.dumps(connection),
        }
        for team in TEAMS:
            home = self.root / team / "agent-home"
            home.mkdir()
            env = {"AIRFLOW_HOME": str(home), "AIRFLOW_TESTS": str(said_folder)}
            if team == "red":
                # As Airflow's own hosts have it, with the teams.
                bundles = json.dumps(self.bundles())
                env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = bundles
            found[f"AIRFLOW__{team.upper()}___REMOTE__ENV"] = json.dumps(env)
        return found

    def agents(self) -> None:
        """Start one for each, for the queue of its team."""
        for team, stack in self.stacks.items():
            environments = f'[python]\nenvironments = {{airflow = "{VENV}"}}\n'
            stack.agent(f"host-of-{team}", "--queue", "site", config=environments, capacity=2)

    def have_connections(self, airflow: Airflow) -> None:
        """One of each team's in Airflow's database."""
        for team in TEAMS:
            site = {"connection_id": f"of-{team}", "conn_type": "http", "host": f"{team}.example"}
            airflow.post("/connections", {**site, "team_name": team})
