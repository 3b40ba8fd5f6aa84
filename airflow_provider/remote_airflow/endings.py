"""What is said of a try in its log where the task has said nothing: why its job waits, has not
begun, or has failed. Network only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from remote_airflow.dispatches import ENDED, why
from remote_airflow.server import Refused, Server, Unavailable

_READ: Final = 60
_LAST: Final = 15
"""Lines of a job's standard error, where Python and Airflow's supervisor say what is wrong."""
_NOISE: Final = re.compile(r"\[info +\]|Starting call to 'airflow\.sdk")
NO_JOB: Final = (
    "The remote-server has no job of this try: either it was not given one, and Audit Log of the "
    "task says why (remote: not run, remote: failed), or keeps it no longer"
)


def waits(job: dict[str, Any]) -> str:
    """For the line that says where a log comes from."""
    if job.get("state") == "queued" and job.get("pending_reason"):
        return f" waits: {job['pending_reason']}"
    return f" on agent {job['agent']}" if job.get("agent") else ""


def explained(server: Server, job: dict[str, Any], began: bool) -> Iterator[str]:
    """Lines for the end of a log, by its last job; `began`: the task has told Airflow so."""
    state = str(job.get("state"))
    if state == "queued":
        reason = job.get("pending_reason") or "nobody has looked at it yet"
        yield line(f"The job of this task waits: {reason}", "warning")
    elif state in ENDED and state != "succeeded":
        yield line(why(job), "error")
        if state == "failed":
            yield from _stderr(server, job)
    elif state not in ENDED and not began:
        yield line(
            f"The job of this task runs{waits(job)}; the task has not told Airflow of it yet",
            "warning",
        )
        yield from _stderr(server, job)


def alone(words: str) -> Iterator[str]:
    """A log of one line. A generator: Airflow refuses other iterators."""
    yield line(words, "error")


def line(words: str, level: str) -> str:
    """One line as Airflow's supervisor writes it."""
    now = datetime.now(UTC).isoformat()
    return json.dumps({"timestamp": now, "level": level, "event": words, "logger": "remote"}) + "\n"


def _stderr(server: Server, job: dict[str, Any]) -> Iterator[str]:
    try:
        text = server.last_errors(str(job["id"]), _READ)
    except (Unavailable, Refused):
        return
    lines = text.decode(errors="replace").splitlines()
    for one in [one for one in lines if not _NOISE.search(one)][-_LAST:]:
        yield line(one, "error")
