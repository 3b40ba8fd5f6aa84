"""Which team a task belongs to, and the settings that its tasks have. Asks Airflow's database.

In the api-server, where Airflow makes executors without saying for whom, and in the scheduler,
where that of everybody may be given tasks of a team.
"""

from __future__ import annotations

from typing import Any

from remote_airflow.executor_setting import has_executor
from remote_airflow.settings import Settings, load


def has_teams() -> bool:
    """Whether this Airflow has teams."""
    from airflow.configuration import conf

    return bool(conf.getboolean("core", "multi_team", fallback=False))


def team_of(dag: str) -> str | None:
    """The team of a DAG's bundle; None without teams, and before Airflow 3.2."""
    if not has_teams():
        return None
    from airflow.models.dag import DagModel

    return _asked(getattr(DagModel, "get_team_name", None), dag)


def team_of_workload(workload: Any) -> str | None:
    """The team of what an executor is given: a task, a callback, or the test of a connection."""
    if not has_teams():
        return None
    if hasattr(workload, "ti"):
        return team_of(workload.ti.dag_id)
    if (bundle := getattr(workload, "bundle_info", None)) is not None:
        from airflow.models.dagbundle import DagBundleModel

        return _asked(getattr(DagBundleModel, "get_team_name", None), bundle.name)
    from airflow.models.connection_test import ConnectionTestRequest
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        row = session.get(ConnectionTestRequest, workload.connection_test_id)
        return row.team_name if row else None


def _asked(get: Any, name: str) -> str | None:
    """What one of Airflow's look-ups says; in a session of its own, for the scheduler is within
    one, which such a call would close."""
    from airflow.utils.session import create_session

    if get is None:
        return None
    with create_session(scoped=False) as session:
        found: str | None = get(name, session=session)
        return found


def settings_of(dag: str) -> Settings:
    """The settings for tasks of a DAG. SettingsError."""
    return load(configuration_for(team_of(dag)))


def configuration_for(team: str | None) -> Any:
    """A team's own configuration, if it names a server or has an executor; else everybody's."""
    from airflow.configuration import conf

    if team is None:
        return conf
    own = configuration_of(team)
    setting = str(conf.get("core", "executor", fallback="") or "")
    named = any(own.get("remote", name, fallback="") for name in _OWN)
    return own if named or has_executor(setting, team) else conf


_OWN = ("url", "conn_id")


def configuration_of(team: str) -> Any:
    """The configuration as that team has it."""
    from airflow.executors.base_executor import ExecutorConf

    return ExecutorConf(team)
