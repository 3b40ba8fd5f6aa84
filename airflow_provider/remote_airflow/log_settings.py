"""What `[logging] logging_config_class = remote_airflow.log_settings.LOGGING_CONFIG` names.

Airflow's own configuration, and where logs of ended tasks are read. Imports Airflow.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG

from remote_airflow.logs import FinishedLogs

_OWN = "airflow.utils.log.file_task_handler.FileTaskHandler"


def _configured() -> dict[str, Any]:
    config: dict[str, Any] = deepcopy(DEFAULT_LOGGING_CONFIG)
    task = config["handlers"].get("task", {})
    # Whoever has another one, for Elasticsearch, say, keeps it.
    if task.get("class") == _OWN:
        task["class"] = "remote_airflow.log_handler.RemoteTaskHandler"
    return config


LOGGING_CONFIG = _configured()
REMOTE_TASK_LOG = FinishedLogs()
DEFAULT_REMOTE_CONN_ID = None
