"""What `[logging] logging_config_class = remote_airflow.log_settings.LOGGING_CONFIG` names.

Airflow's own configuration, and where logs of ended tasks are read. Imports Airflow.
"""

from __future__ import annotations

from airflow.config_templates.airflow_local_settings import DEFAULT_LOGGING_CONFIG

from remote_airflow.logs import FinishedLogs

LOGGING_CONFIG = DEFAULT_LOGGING_CONFIG
REMOTE_TASK_LOG = FinishedLogs()
DEFAULT_REMOTE_CONN_ID = None
