"""The connection type `remote_agent` of Airflow's pages, and its button Test. Imports Airflow."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseHook

from remote_airflow.checking import look
from remote_airflow.connection import TYPE, given_by
from remote_airflow.server import Server
from remote_airflow.settings import SettingsError, of_connection


class RemoteHook(BaseHook):
    """A remote-server, as a connection of Airflow says where it is and who asks."""

    conn_name_attr = "remote_conn_id"
    default_conn_name = "remote_default"
    conn_type = TYPE
    hook_name = "Remote agents"

    def __init__(self, remote_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.remote_conn_id = remote_conn_id

    def get_conn(self) -> Server:
        """Its API. SettingsError when the connection lacks something."""
        given = given_by(self.remote_conn_id, self.get_connection(self.remote_conn_id))
        return Server(of_connection(given), timeout=10.0)

    def test_connection(self) -> tuple[bool, str]:
        """The same as `airflow remote check`, for this connection."""
        try:
            server = self.get_conn()
        except SettingsError as error:
            return False, str(error)
        try:
            good, lines = look(server)
        finally:
            server.close()
        return good, "; ".join(lines)
