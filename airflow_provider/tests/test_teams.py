"""Two teams, each with a server and a token of its own, on Airflow's own database and loader."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.executors import executor_loader

from remote_airflow.executor_setting import OURS

from .conftest import FakeServer, Instance, callback, told, until, workload

TEAMS = ("blue", "red")
FLEET = json.dumps(
    {"conn_type": "remote_agent", "host": "https://red.example.com", "password": "rpt_conn"}
)
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


class Row:
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

    monkeypatch.setattr(DagModel, "get_team_name", lambda dag, session: dag.rpartition("-")[2])
    finished = FinishedLogs()
    for team in TEAMS:
        ti = Row(team)
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


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """DAGs, bundles and tests of connections belong to the team that their name ends with."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel

    def owner(name: str, session: object) -> str | None:
        team = name.rpartition("-")[2]
        return team if team in TEAMS else None

    monkeypatch.setattr(DagModel, "get_team_name", owner)
    monkeypatch.setattr(DagBundleModel, "get_team_name", owner)


@pytest.mark.usefixtures("teams", "owners")
def test_the_executor_of_everybody_sends_tasks_of_a_team_to_its_server(
    servers: dict[str, FakeServer], server: FakeServer, executor: Any
) -> None:
    """Airflow gives it those that name it, although their team has one of the same name."""
    works = {team: workload("t", dag_id=f"dag-of-{team}") for team in (*TEAMS, "nobody")}
    late = callback("bundle-of-red")
    for work in (*works.values(), late):
        executor.queue_workload(work, session=None)
    executor.heartbeat()
    of = {**servers, "nobody": server}
    until(lambda: len(servers["red"].jobs) == 2, "the callback goes there, too")
    for team, work in works.items():
        until(lambda team=team: of[team].jobs, f"{team} has a job")  # type: ignore[misc]
        dispatch = work.ti.external_executor_id
        assert {job["annotations"].get("airflow.dag") for job in of[team].jobs.values()} <= {
            f"dag-of-{team}", None
        }  # fmt: skip
        assert of[team].bearers == {"Bearer rpt_x" if team == "nobody" else f"Bearer rpt_{team}"}
        of[team].move(dispatch, "succeeded")
        told(executor, work.ti.key, "success")


@pytest.mark.usefixtures("teams", "owners")
def test_tasks_of_teams_are_adopted_and_taken_back_at_their_servers(
    servers: dict[str, FakeServer], executor: Any
) -> None:
    from remote_airflow.executor import RemoteExecutor

    works = [workload("t", dag_id=f"dag-of-{team}") for team in TEAMS]
    for work in works:
        executor.queue_workload(work, session=None)
    executor.heartbeat()
    until(lambda: all(servers[team].jobs for team in TEAMS), "both are submitted")
    servers["blue"].away = True
    another = RemoteExecutor(parallelism=8)
    another.start()
    try:
        rows = [Instance(work, work.ti.external_executor_id) for work in works]
        unknown = Instance(workload("gone", dag_id="dag-of-red"), "no-job")
        unknown.state = "queued"
        # The server that is away says nothing against its own; nobody else's hang on it.
        assert another.try_adopt_task_instances([*rows, unknown]) == [unknown]
        assert another.running == {work.ti.key for work in works}
        another.revoke_task(ti=rows[1])
        until(lambda: servers["red"].cancelled, "its job is cancelled")
    finally:
        another.terminate()


@pytest.mark.usefixtures("owners")
def test_wrong_settings_of_one_team_stop_only_its_tasks(
    teams: dict[str, Any], servers: dict[str, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    from remote_airflow.executor import RemoteExecutor

    monkeypatch.delenv("AIRFLOW__BLUE___REMOTE__URL")
    blue, everybody = RemoteExecutor(team_name="blue"), RemoteExecutor()
    blue.start()
    everybody.start()
    try:
        for executor in (blue, everybody):
            work = workload("t", dag_id="dag-of-blue")
            executor.queue_workload(work, session=None)
            executor.heartbeat()
            assert executor.event_buffer[work.ti.key][0] == "failed"
            said = executor._task_event_logs[-1].extra
            assert said.startswith("team blue: [remote] url is missing"), said
            assert "AIRFLOW__BLUE___REMOTE__URL=https://" in said
        red = workload("t", dag_id="dag-of-red")
        everybody.queue_workload(red, session=None)
        everybody.heartbeat()
        until(lambda: servers["red"].jobs, "the other team's task runs")
    finally:
        everybody.terminate()
    # For logs of that team nobody else's server is asked.
    from remote_airflow.settings import SettingsError
    from remote_airflow.teams import settings_of

    with pytest.raises(SettingsError, match="team blue: "):
        settings_of("dag-of-blue")


@pytest.mark.usefixtures("owners")
def test_the_executor_of_everybody_needs_no_server_where_teams_have_theirs(
    teams: dict[str, Any], servers: dict[str, FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named for Airflow's pages only."""
    from remote_airflow.executor import RemoteExecutor

    monkeypatch.delenv("AIRFLOW__REMOTE__URL")
    executor = RemoteExecutor()
    executor.start()
    try:
        works = [workload("t", dag_id=name) for name in ("dag-of-red", "dag")]
        for work in works:
            executor.queue_workload(work, session=None)
        executor.heartbeat()
        until(lambda: servers["red"].jobs, "the team's task runs")
        assert executor.event_buffer[works[1].ti.key][0] == "failed"
        assert "[remote] url is missing" in executor._task_event_logs[-1].extra
    finally:
        executor.terminate()


@pytest.mark.usefixtures("teams")
def test_a_connection_of_a_team_is_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    from remote_airflow.settings import SettingsError, load
    from remote_airflow.teams import configuration_of

    monkeypatch.setenv("AIRFLOW_CONN__RED___FLEET", FLEET)
    for team in TEAMS:
        for name in ("URL", "TOKEN"):
            monkeypatch.delenv(f"AIRFLOW__{team.upper()}___REMOTE__{name}")
        monkeypatch.setenv(f"AIRFLOW__{team.upper()}___REMOTE__CONN_ID", "fleet")
    red = load(configuration_of("red"))
    assert (red.url, red.bearer()) == ("https://red.example.com", "rpt_conn")
    with pytest.raises(SettingsError, match="AIRFLOW_CONN__BLUE___FLEET") as refused:
        load(configuration_of("blue"))
    assert "team blue: [remote] conn_id: Airflow has no connection 'fleet'" in str(refused.value)
    # Nor by its whole name.
    monkeypatch.setenv("AIRFLOW__BLUE___REMOTE__CONN_ID", "_red___fleet")
    with pytest.raises(SettingsError, match="has no connection"):
        load(configuration_of("blue"))


@pytest.mark.usefixtures("teams")
def test_a_team_without_a_token_gets_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    from remote_airflow.settings import SettingsError, load
    from remote_airflow.teams import configuration_of

    monkeypatch.delenv("AIRFLOW__BLUE___REMOTE__TOKEN")
    with pytest.raises(SettingsError, match="token is missing"):
        load(configuration_of("blue"))


@pytest.mark.usefixtures("teams")
def test_hosts_of_tasks_get_a_list_of_bundles_without_teams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Airflow refuses teams in it where it has none."""
    from remote_airflow.settings import load
    from remote_airflow.teams import configuration_of

    name = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"

    def at_the_host(text: str) -> str:
        monkeypatch.setenv("AIRFLOW__RED___REMOTE__ENV", json.dumps({name: text, "TZ": "UTC"}))
        env = load(configuration_of("red")).env
        assert env["TZ"] == "UTC"
        return env[name]

    given = [{"name": "b", "classpath": "c", "kwargs": {"path": "/d"}, "team_name": "red"}]
    kept = [{"name": "b", "classpath": "c", "kwargs": {"path": "/d"}}]
    assert json.loads(at_the_host(json.dumps(given))) == kept
    for other in ("no JSON", "[1]", "{}", "null"):
        assert at_the_host(other) in (other, "[]"), "the task itself complains"


@pytest.mark.usefixtures("teams")
def test_the_command_looks_at_the_server_of_a_team(
    servers: dict[str, FakeServer],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from remote_airflow.cli import agents, check

    servers["red"].agents = [
        {"name": "r", "state": "online", "running": 0, "capacity": {"a": 1}, "queues": ["q"]}
    ]
    agents(Namespace(team="red"))
    assert capsys.readouterr().out.endswith("r\tonline\t0/1\tq\n")
    assert servers["red"].bearers == {"Bearer rpt_red"}
    check(Namespace(team="bleu"))
    said = capsys.readouterr().out
    assert "team bleu has no server of its own; this is that of everybody" in said
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "False")
    with pytest.raises(SystemExit, match=r"no teams: set .core. multi_team, or omit --team"):
        check(Namespace(team="red"))
