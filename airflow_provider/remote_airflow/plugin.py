"""Links in Airflow's menu to the server's own pages, and on pages of tasks to those of their jobs.
Imported by every process of Airflow.

They have no `url_route`: so Airflow opens them in a tab of their own. Inside its page it would have
to put them into a frame, which the server's pages refuse.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from remote_airflow.job_link import JobLink
from remote_airflow.settings import SECTION

log = logging.getLogger(__name__)

_PAGES: Final = {"Remote agents": "/agents", "Remote queues": "/queues", "Remote jobs": "/jobs"}
_CATEGORY: Final = "browse"


def views() -> list[dict[str, Any]]:
    """An external view for each page; none where nobody has said where the server is."""
    try:
        found = conf.get(SECTION, "page_url", fallback="") or conf.get(SECTION, "url", fallback="")
    except Exception as error:
        # A plugin that cannot be imported would be an error on each page of Airflow.
        log.warning("no links to the remote-server: %s", error)
        return []
    url = str(found or "").strip().rstrip("/")
    if not url.startswith(("http://", "https://")):
        return []
    return [
        {"name": name, "href": url + page, "destination": "nav", "category": _CATEGORY}
        for name, page in _PAGES.items()
    ]


class RemotePlugin(AirflowPlugin):
    """What Airflow finds by the entry point `airflow.plugins`."""

    name = "remote"
    external_views = views()
    global_operator_extra_links = (JobLink(),)
