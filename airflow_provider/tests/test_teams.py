"""Two teams, each with a server and a token of its own, on Airflow's own database and loader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.executors import executor_loader

from remote_airflow.executor_setting import OURS

from .conftest import FakeServer, told, until, workload

TEAMS = ("blue", "red")
pytestmark = pytest.mark.skipif(
    not hasattr(executor_loader, "Team"), reason="Airflow before 3.2 has no teams"
)


@pytest.fixture
def servers() -> Iterator[dict[str, FakeServer]]:
    found = {team: FakeServer() for team in TEAMS}
    yield found
    for one in found.values():
        one.close()


@pytest.fixture
def teams(
    servers: dict[str, FakeServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """The executors of both teams, as a scheduler makes them."""
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    setting = f"LocalExecutor,Remote:{OURS};blue=Remote:{OURS};red=Remote:{OURS}"
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", setting)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com")
    for team, server in servers.items():
        monkeypatch.setenv(f"AIRFLOW__{team.upper()}___REMOTE__URL", server.url)
        monkeypatch.setenv(f"AIRFLOW__{team.upper()}___REMOTE__TOKEN", f"rpt_{team}")
    # The teams are rows of Airflow's database, which units have none of.
    monkeypatch.setattr(executor_loader.Team, "get_all_team_names", lambda: set(TEAMS))
    for name in (
        "_alias_to_executors_per_team",
        "_module_to_executors_per_team",
        "_classname_to_executors_per_team",
        "_team_name_to_executors",
        "_executor_names",
    ):
        table = getattr(executor_loader, name)
        monkeypatch.setattr(executor_loader, name, table.copy())
        getattr(executor_loader, name).clear()
    loader = executor_loader.ExecutorLoader
    names = [name for name in loader.get_executor_names() if name.team_name]
    found = {name.team_name: loader.load_executor(name) for name in names}
    for one in found.values():
        one.start()
    yield found
    for one in found.values():
        one.terminate()


def test_each_team_has_its_own_server_token_and_list(
    teams: dict[str, Any], servers: dict[str, FakeServer], server: FakeServer
) -> None:
    works = {team: workload(f"of-{team}") for team in TEAMS}
    for team, executor in teams.items():
        executor.queue_workload(works[team], session=None)
        executor.heartbeat()
    for team in TEAMS:
        until(lambda team=team: servers[team].jobs, f"{team} has a job")  # type: ignore[misc]
        (job,) = servers[team].jobs.values()
        assert job["name"] == f"d.of-{team}"
        assert servers[team].bearers == {f"Bearer rpt_{team}"}, "no other token comes here"
        # A task looks its executor up where nobody knows of teams; what holds for all holds here.
        assert job["env"]["AIRFLOW__CORE__EXECUTOR"] == f"Remote:{OURS},LocalExecutor"
        url = job["env"]["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
        assert url == "https://airflow.example.com/execution/"
        servers[team].move(job["idempotency_key"], "succeeded")
        told(teams[team], works[team].ti.key, "success")
    assert server.jobs == {}, "the server of everybody has none of them"


class Instance:
    """A row of a task instance, as far as logs look."""

    state, try_number, map_index, run_id = "running", 1, -1, "r"
    start_date = queued_dttm = end_date = None

    def __init__(self, team: str) -> None:
        self.dag_id, self.task_id = f"dag-of-{team}", "t"


def test_logs_come_from_the_server_of_the_dags_team(
    teams: dict[str, Any],
    servers: dict[str, FakeServer],
    executor: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The api-server makes the executor of everybody, whoever the task belongs to."""
    from airflow.models.dag import DagModel

    from remote_airflow.job import TASK
    from remote_airflow.logs import FinishedLogs
    from remote_airflow.versions import name_of

    monkeypatch.setattr(DagModel, "get_team_name", lambda dag: dag.rpartition("-")[2])
    finished = FinishedLogs()
    for team in TEAMS:
        ti = Instance(team)
        job = {"id": f"job-{team}", "state": "running", "annotations": {TASK: name_of(ti)}}
        servers[team].jobs[f"job-{team}"] = job
        servers[team].logs[f"job-{team}"] = f"a line of {team}\n".encode()
        sources, lines = executor.get_task_log(ti, 1)
        assert lines == [f"a line of {team}\n"]
        assert sources == [f"Live: {servers[team].url}/jobs/job-{team}"]
        job["state"] = ti.state = "success"
        _, lines = finished.read("dag_id=d/attempt=1.log", ti)
        assert lines == [f"a line of {team}\n"]
        assert servers[team].bearers == {f"Bearer rpt_{team}"}


@pytest.mark.usefixtures("teams")
def test_a_team_without_a_token_gets_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    from remote_airflow.settings import SettingsError, load
    from remote_airflow.teams import configuration_of

    monkeypatch.delenv("AIRFLOW__BLUE___REMOTE__TOKEN")
    with pytest.raises(SettingsError, match="token is missing"):
        load(configuration_of("blue"))
