"""What `[core] executor` says of ours, for everybody and for teams."""

from __future__ import annotations

import pytest

from remote_airflow.executor_setting import OURS, for_tasks, is_ours

PLAIN = f"LocalExecutor,Remote:{OURS}"
TEAMS = f"LocalExecutor,Remote:{OURS};blue=Blue:{OURS},CeleryExecutor;red=LocalExecutor"


@pytest.mark.parametrize(
    ("setting", "team", "wanted"),
    [
        (PLAIN, None, PLAIN),
        (TEAMS, None, PLAIN),
        (TEAMS, "blue", f"Blue:{OURS},CeleryExecutor,LocalExecutor"),
        (TEAMS, "red", PLAIN),
        (TEAMS, "green", PLAIN),
        ("", None, ""),
    ],
)
def test_tasks_get_a_list_without_teams(setting: str, team: str | None, wanted: str) -> None:
    assert for_tasks(setting, team) == wanted


def test_airflow_takes_what_tasks_get(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.executors import executor_loader

    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", for_tasks(TEAMS, "blue"))
    loader = executor_loader.ExecutorLoader
    names = [name for _, found in loader._get_team_executor_configs() for name in found]
    assert names == [f"Blue:{OURS}", "CeleryExecutor", "LocalExecutor"]


@pytest.mark.parametrize(
    ("name", "team", "wanted"),
    [
        (None, None, False),
        ("Remote", None, True),
        (OURS, None, True),
        ("RemoteExecutor", None, True),
        ("LocalExecutor", None, False),
        (None, "blue", True),
        ("Blue", "blue", True),
        ("Blue", None, False),
        ("Remote", "red", True),
        (None, "red", False),
    ],
)
def test_whose_tasks_are_ours(name: str | None, team: str | None, wanted: bool) -> None:
    assert is_ours(TEAMS, name, team) is wanted
