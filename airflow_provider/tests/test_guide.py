"""What docs/airflow.md and installers/airflow have users set: Airflow or this provider knows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from .conftest import known

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "airflow.md"
FILES = ("values.yaml", "docker-compose.override.yaml")
SERVICES = {
    *("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),
    *("airflow-worker", "airflow-init", "airflow-cli"),
}
"""Those of Airflow's own Compose file that are made of its image, but Flower. Compose makes another
service of a name that it does not know."""
DEFAULT = re.compile(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}")
"""A variable of Compose, with what it is where it is not given, if it may be missing."""


def files() -> list[Any]:
    """The chart's values, and the file for Compose."""
    import yaml

    folder = ROOT / "installers" / "airflow"
    return [yaml.safe_load((folder / name).read_text()) for name in FILES]


def as_compose_has_it(value: str) -> str:
    """A value where nothing but what has to be is in .env."""
    return DEFAULT.sub(lambda found: found[2] or f"given {found[1]}", value)


def plain() -> dict[str, str]:
    """The variables of the section "Install"."""
    text = GUIDE.read_text().partition("\n## Install\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^(AIRFLOW__\w+)=(.+)$", text, re.MULTILINE))


def environments() -> Iterator[Any]:
    chart, compose = files()
    yield pytest.param({one["name"]: one["value"] for one in chart["env"]}, id="chart")
    for name, service in compose["services"].items():
        given = service["environment"].items()
        yield pytest.param({k: as_compose_has_it(v) for k, v in given}, id=f"compose-{name}")
    yield pytest.param(plain(), id="install")


@pytest.mark.parametrize("environment", list(environments()))
def test_each_setting_is_known_and_a_text(environment: dict[str, Any]) -> None:
    assert len(environment) >= 5
    assert [name for name in environment if not known(name)] == []
    assert [value for value in environment.values() if not isinstance(value, str)] == []


@pytest.mark.parametrize("environment", list(environments()))
def test_what_they_name_is_there(
    environment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.configuration import conf

    from remote_airflow.settings import load

    monkeypatch.delenv("AIRFLOW__REMOTE__TOKEN")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load(conf)
    assert settings.url == "https://jobs.example.com"
    assert settings.execution_api_url == "https://airflow.example.com/execution/"
    assert settings.token_file.startswith("/")
    alias, path = environment["AIRFLOW__CORE__EXECUTOR"].split(",")[-1].split(":")
    assert alias == "Remote"
    for dotted in (path, environment["AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS"]):
        module, _, attribute = dotted.rpartition(".")
        assert getattr(import_module(module), attribute)


def test_a_token_is_where_its_setting_says() -> None:
    chart, compose = files()
    (mount,) = chart["volumeMounts"]
    assert mount["name"] == chart["volumes"][0]["name"]
    token = {one["name"]: one["value"] for one in chart["env"]}["AIRFLOW__REMOTE__TOKEN_FILE"]
    assert token == f"{mount['mountPath']}/token"
    assert set(compose["services"]) == SERVICES
    for service in compose["services"].values():
        (secret,) = service["secrets"]
        assert secret in compose["secrets"]
        assert service["environment"]["AIRFLOW__REMOTE__TOKEN_FILE"] == f"/run/secrets/{secret}"


def test_the_lines_for_teams_are_an_executor_of_a_team(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.executors import executor_loader

    text = GUIDE.read_text().partition("\n### Teams\n")[2].partition("\n## ")[0]
    lines = dict(re.findall(r"^(AIRFLOW__\w+)=(.+)$", text, re.MULTILINE))
    for name, value in lines.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(executor_loader.Team, "get_all_team_names", lambda: {"blue"})
    found = dict(executor_loader.ExecutorLoader._get_team_executor_configs())
    ours = "Remote:remote_airflow.executor.RemoteExecutor"
    assert found == {None: [ours, "LocalExecutor"], "blue": [ours]}

    from remote_airflow.settings import load
    from remote_airflow.teams import configuration_of

    settings = load(configuration_of("blue"))
    assert settings.url == "https://jobs.blue.example.com"
    assert settings.token_file == "/etc/airflow/remote-token-blue"
