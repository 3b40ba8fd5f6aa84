"""A button on the page of a task: the page of its job, with the log. In the api-server's process.

Asks Airflow's database for the last dispatch of the try, and the server for the job of that.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from airflow.sdk import BaseOperatorLink

from remote_airflow.executor_setting import is_ours

log = logging.getLogger(__name__)

_TIMEOUT: Final = 3.0
_AWAY: Final = 30.0
"""Seconds for which a server that has not answered is not asked again: pages wait for it."""


class JobLink(BaseOperatorLink):
    """For tasks of our executor that have been submitted; others have no button."""

    name = "Remote job"
    _away_until = 0.0

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address, or nothing. Raises nothing: it would be an error of the page."""
        # Every process of Airflow imports this module, and only pages need these.
        from remote_airflow.server import Unavailable
        from remote_airflow.settings import SettingsError

        if time.monotonic() < JobLink._away_until:
            return ""
        try:
            return _page(ti_key)
        except Unavailable as error:
            JobLink._away_until = time.monotonic() + _AWAY
            log.warning("tasks have no link to their jobs now: %s", error)
        except SettingsError as error:
            log.debug("no link to a job: %s", error)
        except Exception:
            log.exception("the link to a task's job cannot be made")
        return ""


def _page(key: Any) -> str:
    from airflow.configuration import conf

    from remote_airflow.logs import jobs_of
    from remote_airflow.server import Server
    from remote_airflow.teams import settings_of, team_of
    from remote_airflow.versions import name_of

    ti = _row(key)
    setting = str(conf.get("core", "executor", fallback="") or "")
    if ti is None or not ti.external_executor_id:
        return ""
    if not is_ours(setting, ti.executor, team_of(key.dag_id)):
        return ""
    settings = settings_of(key.dag_id)
    server = Server(settings, timeout=_TIMEOUT)
    try:
        dispatch = str(ti.external_executor_id)
        found, _ = server.look_up([(dispatch, None)], _TIMEOUT)
        # A key counts for the token that it was used with, which may have been replaced.
        jobs = [found[dispatch]] if dispatch in found else jobs_of(server, name_of(ti), ti)
    finally:
        server.close()
    return f"{settings.page_url}/jobs/{jobs[-1]['id']}" if jobs else ""


def _row(key: Any) -> Any:
    """The try: the newest, or one of its history."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        for model in (TaskInstance, TaskInstanceHistory):
            wanted = {
                "dag_id": key.dag_id,
                "run_id": key.run_id,
                "task_id": key.task_id,
                "map_index": key.map_index,
                "try_number": key.try_number,
            }
            found = session.scalar(select(model).filter_by(**wanted).limit(1))
            if found is not None:
                session.expunge(found)
                return found
    return None
