"""Logs of tasks, from the server that keeps those of their jobs. Network only.

One try of a task may be several jobs (a deferral, each poke of a sensor): their logs follow one
another in the order in which they were dispatched. What a job writes to its standard output are
the lines of JSON that Airflow's supervisor writes to its log file.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from remote_airflow.dispatches import ENDED
from remote_airflow.endings import NO_JOB, alone, explained, waits
from remote_airflow.executor_setting import is_ours
from remote_airflow.job import TASK
from remote_airflow.server import Server, Unavailable
from remote_airflow.settings import Settings
from remote_airflow.teams import settings_of, team_of
from remote_airflow.versions import name_of

_TRY: Final = re.compile(r"attempt=(\d+)\.log$")
_MOST_JOBS: Final = 100
_KEPT: Final = 64
"""Running tasks whose logs are kept in memory between two looks."""
_JOBS_FOR: Final = 5.0
_RUNNING_FOR: Final = 60.0
"""Seconds for which the jobs of a try are known: while nothing runs, and while the last one does. A
new one comes with another dispatch, and each look-up is one more request that a line waits for."""
_LAST_LINES: Final = 0.7
"""Seconds from a task's state to the last line of its log; 0.3 were measured under load."""
_AROUND: Final = timedelta(hours=1)
_NOT_BEGUN: Final = frozenset({"queued", "scheduled"})
"""States of Airflow's tasks whose job may run all the same."""


class _Growing:
    """What has come of one try's log."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.looked_at = -1e9
        self.dispatch: str | None = None
        """The dispatch of the last job, as Airflow said it."""
        self.parts: dict[str, bytearray] = {}
        self.lock = threading.Lock()


class RunningLogs:
    """Logs of tasks that run, read on from where the last look ended."""

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._settings = settings
        self._known: OrderedDict[str, _Growing] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, ti: Any, try_number: int) -> tuple[list[str], list[str]]:
        """Where it comes from, and all of it that has come, within the limit. Unavailable."""
        name = name_of(ti, try_number)
        with self._lock:
            growing = self._known.setdefault(name, _Growing())
            self._known.move_to_end(name)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        with growing.lock:
            self._look(growing, name, ti)
            return self._sources(growing), self._lines(growing)

    def _look(self, growing: _Growing, name: str, ti: Any) -> None:
        dispatch = getattr(ti, "external_executor_id", None)
        known = growing.jobs and growing.dispatch == dispatch
        runs = known and growing.jobs[-1].get("state") == "running"
        age = time.monotonic() - growing.looked_at
        if not known or age > (_RUNNING_FOR if runs else _JOBS_FOR):
            growing.jobs = jobs_of(self._server, name, ti)
            growing.looked_at, growing.dispatch = time.monotonic(), dispatch

    def _sources(self, growing: _Growing) -> list[str]:
        if not growing.jobs:
            return ["The remote-server has no job of this task yet."]
        last = growing.jobs[-1]
        said = f"Live: {self._settings.page_url}/jobs/{last['id']}"
        return [said + waits(last)]

    def _lines(self, growing: _Growing) -> list[str]:
        left = self._settings.running_log_limit
        texts: list[bytes] = []
        for job in growing.jobs:
            part = growing.parts.setdefault(job["id"], bytearray())
            if left > len(part):
                part += self._server.log(job["id"], len(part), left - len(part))
            # A line that has not ended would be counted, and never be shown whole.
            whole = bytes(part[: part.rfind(b"\n") + 1])
            texts.append(whole)
            left -= len(part)
        if not any(texts):
            return []
        text = b"".join(texts).decode(errors="replace")
        if left <= 0:
            text += _more(self._settings, growing.jobs[-1]["id"])
        return [text]


def _more(settings: Settings, job: str) -> str:
    return (
        f"The log goes on; while the task runs, this page shows {settings.running_log_limit} "
        f"bytes. Live: {settings.page_url}/jobs/{job}\n"
    )


def jobs_of(server: Server, name: str, ti: Any) -> list[dict[str, Any]]:
    """The jobs of one try, the first one first."""
    filters = {"annotation": f"{TASK}={name}", "limit": str(_MOST_JOBS)}
    moments = [
        moment
        for moment in (getattr(ti, "start_date", None), getattr(ti, "queued_dttm", None))
        if isinstance(moment, datetime)
    ]
    if moments:
        # Ids of jobs have their time: so a search does not read all that were ever there.
        filters["since"] = _text(min(moments) - _AROUND)
        end = getattr(ti, "end_date", None)
        if isinstance(end, datetime):
            filters["until"] = _text(end + _AROUND)
    return server.jobs(filters)[::-1]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class FinishedLogs:
    """Logs of tasks that have ended: Airflow's `RemoteLogIO`, in whatever process it is made."""

    processors: tuple[Any, ...] = ()

    def __init__(self) -> None:
        self._ready: dict[str | None, tuple[Server, Settings]] = {}

    def upload(self, path: Any, ti: Any) -> None:
        """Nothing: the server has it already."""

    def read(self, relative_path: str, ti: Any) -> tuple[list[str], list[str] | None]:
        """Where it comes from, and the whole log as text."""
        sources, pieces = self._open(relative_path, ti)
        if not pieces:
            return sources, None
        return sources, ["".join(pieces[0])]

    def stream(self, relative_path: str, ti: Any) -> tuple[list[str], list[Iterator[str]]]:
        """The same, line by line."""
        return self._open(relative_path, ti)

    def _open(self, relative_path: str, ti: Any) -> tuple[list[str], list[Iterator[str]]]:
        # While it runs, the executor gives its log: both would show each line twice.
        state = getattr(ti, "state", None)
        number = _number(relative_path, ti)
        if state is not None and str(state) == "running" and number == ti.try_number:
            return [], []
        try:
            server, settings = self._of_team(ti)
            jobs = jobs_of(server, name_of(ti, number), ti)
            if not jobs:
                return [], [alone(NO_JOB)] if state == "failed" and _is_ours(ti) else []
            pages = [f"Remote: {settings.page_url}/jobs/{job['id']}{waits(job)}" for job in jobs]
            return pages, [_with_the_end(server, jobs, began=str(state) not in _NOT_BEGUN)]
        except Exception as error:
            words = f"The log cannot be read from the remote-server now: {error}"
            # The page shows where a log comes from when it is asked to; of other executors' tasks
            # nobody expects one here.
            return [words], [alone(words)] if _is_ours(ti) else []

    def _of_team(self, ti: Any) -> tuple[Server, Settings]:
        team = team_of(ti.dag_id)
        if team not in self._ready:
            settings = settings_of(ti.dag_id)
            self._ready[team] = Server(settings, timeout=10.0), settings
        return self._ready[team]


def _is_ours(ti: Any) -> bool:
    from airflow.configuration import conf

    setting = str(conf.get("core", "executor", fallback="") or "")
    return is_ours(setting, getattr(ti, "executor", None), team_of(ti.dag_id))


def _number(path: str, ti: Any) -> int:
    """The try that a log's path is of."""
    found = _TRY.search(path)
    return int(found[1]) if found else int(ti.try_number)


def _with_the_end(server: Server, jobs: list[dict[str, Any]], began: bool) -> Iterator[str]:
    """The same, and what has become of the last job, where it says more than its log."""
    yield from _lines(server, [job for job in jobs if job.get("state") != "queued"])
    yield from explained(server, jobs[-1], began)


def _lines(server: Server, jobs: list[dict[str, Any]]) -> Iterator[str]:
    """Each line of these jobs' logs, with its end."""
    for job in jobs:
        rest = b""
        try:
            for piece in _pieces(server, job):
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    yield line.decode(errors="replace") + "\n"
        except Unavailable as error:
            yield f"The log cannot be read any further: {error}\n"
        if rest:
            yield rest.decode(errors="replace") + "\n"


def _pieces(server: Server, job: dict[str, Any]) -> Iterator[bytes]:
    size = 0
    for piece in server.log_pieces(job["id"]):
        size += len(piece)
        yield piece
    if job.get("state") not in ENDED:
        # The task has said its end, and its last lines are still on their way.
        time.sleep(_LAST_LINES)
        yield from server.log_pieces(job["id"], size)
