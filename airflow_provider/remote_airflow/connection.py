"""What a connection of Airflow says of the server: where it is, and the token. Asks Airflow."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

TYPE: Final = "remote_agent"
"""The connection's type in Airflow's pages."""


class Given(NamedTuple):
    """What it says; empty: nothing."""

    name: str = ""
    url: str = ""
    token: str = ""
    ca_file: str = ""
    page_url: str = ""


class NotThere(LookupError):
    """There is no such connection; the text is a sentence with the cure."""


def by_name(name: str, team: str | None) -> Given:
    """A connection of Airflow: of its database, its variables or its secrets back-end. NotThere."""
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models.connection import Connection

    # Airflow 3.1 has no teams.
    of_team = {"team_name": team} if team else {}
    try:
        return given_by(name, Connection.get_connection_from_secrets(name, **of_team))
    except AirflowNotFoundException:
        whose = f" of team {team}, or of everybody," if team else ""
        variable = f"AIRFLOW_CONN_{f'_{team.upper()}___' if team else ''}{name.upper()}"
        raise NotThere(
            f"[remote] conn_id: Airflow has no connection {name!r}{whose}; make one of the type "
            f"{TYPE} (Admin, Connections), or set {variable}"
        ) from None


def given_by(name: str, connection: Any) -> Given:
    """What a connection says. Its host is a URL, or a name with schema and port beside it."""
    host = str(connection.host or "").strip().rstrip("/")
    if host and "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    if host and connection.port:
        host += f":{connection.port}"
    extra = connection.extra_dejson
    return Given(
        name=name,
        url=host,
        token=str(connection.password or "").strip(),
        ca_file=str(extra.get("ca_file") or ""),
        page_url=str(extra.get("page_url") or ""),
    )
