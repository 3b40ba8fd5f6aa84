"""Which team a DAG belongs to, and the settings that its tasks have. Asks Airflow's database.

In the api-server, where Airflow makes executors without saying for whom.
"""

from __future__ import annotations

from typing import Any

from remote_airflow.settings import Settings, load


def team_of(dag: str) -> str | None:
    """The team of a DAG's bundle; None without teams, and before Airflow 3.2."""
    from airflow.configuration import conf

    if not conf.getboolean("core", "multi_team", fallback=False):
        return None
    from airflow.models.dag import DagModel

    found = getattr(DagModel, "get_team_name", None)
    return found(dag) if found else None


def settings_of(dag: str) -> Settings:
    """The settings for tasks of a DAG: its team's, if that has its own. SettingsError."""
    from airflow.configuration import conf

    team = team_of(dag)
    if team is None:
        return load(conf)
    own = configuration_of(team)
    return load(own if any(own.get("remote", name, fallback="") for name in _OWN) else conf)


_OWN = ("url", "conn_id")


def configuration_of(team: str) -> Any:
    """The configuration as that team has it."""
    from airflow.executors.base_executor import ExecutorConf

    return ExecutorConf(team)
