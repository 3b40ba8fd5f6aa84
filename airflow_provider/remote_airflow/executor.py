"""The executor: what Airflow's scheduler asks, and nothing that waits for the network but adoption.

No exception of ours may leave a method that the scheduler's loop calls: it would end the scheduler.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow.executors.base_executor import BaseExecutor

from remote_airflow.dispatches import Dispatches, Told
from remote_airflow.job import DISPATCH, ConfigError, job_of, pushed_bundle
from remote_airflow.logs import RunningLogs
from remote_airflow.routes import Route, Routes
from remote_airflow.server import Server, Unavailable
from remote_airflow.settings import SettingsError
from remote_airflow.teams import settings_of, team_of
from remote_airflow.versions import RUNS_ALL, dispatch_id, key_of

log = logging.getLogger(__name__)

ADOPTION_TIMEOUT: Final = 8.0
"""Seconds; the scheduler holds locks on rows meanwhile."""
_STOP_TIMEOUT: Final = 10.0
_NOTED: Final = 1000
_GIVEN_UP: Final = "Airflow has ended the task"
_ONLY_TASKS: Final = (
    "agents run only tasks of this version of Airflow; name another executor for callbacks, or "
    "have Airflow 3.3"
)
_WAITING: Final = ("queued_tasks", "queued_callbacks", "queued_connection_tests")
"""Where the base class keeps what it has not given to `_process_workloads`."""


class RemoteExecutor(BaseExecutor):
    """Has tasks run by agents of a remote-server."""

    supports_multi_team = True
    supports_callbacks = RUNS_ALL
    supports_connection_test = RUNS_ALL
    pre_assigns_external_executor_id = True
    is_local = False
    is_production = True
    serve_logs = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._routes = Routes(self.team_name)
        self._logs: dict[str | None, RunningLogs] = {}
        self._noted: deque[Any] = deque(maxlen=_NOTED)

    # The scheduler's process ---------------------------------------------------------------------

    def start(self) -> None:
        """Connect. SettingsError when the configuration is wrong: better now than at the first
        task."""
        self._routes.start()

    @property
    def _dispatches(self) -> Dispatches:
        """Those of its own route."""
        return self._routes.own.dispatches

    def queue_workload(self, workload: Any, session: Any) -> None:
        """Take one. What this version of Airflow gives us no way to run fails: the base class would
        raise in the scheduler's loop."""
        try:
            super().queue_workload(workload, session)
        except NotImplementedError:
            log.error("not run, agents run only tasks of this version of Airflow: %s", workload.key)
            self.fail(workload.key, _ONLY_TASKS)

    def _process_workloads(self, workload_items: Sequence[Any]) -> None:
        for workload in workload_items:
            key = key_of(workload)
            for waiting in _WAITING:
                getattr(self, waiting, {}).pop(key, None)
            self.running.add(key)
            route: Route | None = None
            try:
                route = self._routes.of_workload(workload)
                route.start()
                self._dispatch(route, workload, key)
            except (ConfigError, SettingsError) as error:
                self._refuse(key, str(error), route)
            except Exception as error:
                log.exception("a task cannot be dispatched: %s", key)
                self._refuse(key, f"it cannot be dispatched: {error}", route)

    def _dispatch(self, route: Route, workload: Any, key: Any) -> None:
        dispatch, known = dispatch_id(workload)
        settings = route.settings()
        body = job_of(workload, dispatch, settings)
        route.dispatches.add(key, dispatch, body, pushed_bundle(workload, settings))
        if not known:
            self._tell_queued(key, dispatch)

    def _tell_queued(self, key: Any, dispatch: str) -> None:
        from airflow.utils.state import TaskInstanceState

        self.change_state(key, TaskInstanceState.QUEUED, dispatch, remove_running=False)

    def _refuse(self, key: Any, reason: str, route: Route | None) -> None:
        (route or self._routes.own).refused()
        self._note("remote: not run", reason, key)
        self.fail(key, reason)

    def _note(self, event: str, text: str, key: Any) -> None:
        """An entry in Airflow's log of events, where people look why a task has not run."""
        if not _is_task(key):
            return
        self.log_task_event(event=event, extra=text, ti_key=key)
        # Airflow 3.3.2 drops its last reference to an entry before it writes what stands in it.
        self._noted.extend(list(self._task_event_logs)[-1:])

    def sync(self) -> None:
        """Tell Airflow what has become of its tasks, and the server what Airflow gave up."""
        for route in self._routes.all():
            try:
                self._report(route.dispatches)
            except Exception:
                log.exception("the state of tasks cannot be told now")
            route.tell_metrics()

    def _report(self, dispatches: Dispatches) -> None:
        for report in dispatches.reports():
            if report.what is Told.RUNNING:
                self.running_state(report.key, report.dispatch)
            elif report.what is Told.SUCCESS:
                self.success(report.key, report.dispatch)
            else:
                log.warning("task %s: %s", report.key, report.detail)
                self._note("remote: failed", report.detail, report.key)
                # Of a callback it is what Airflow shows as its output.
                told = report.dispatch if _is_task(report.key) else report.detail
                self.fail(report.key, told)
        # Airflow ends tasks without heartbeats by change_state: then nobody else stops them.
        for key in dispatches.keep_only(self.running, _GIVEN_UP):
            log.info("the job of %s is cancelled: Airflow has ended the task", key)

    def revoke_task(self, *, ti: Any) -> None:
        """Forget a task and end its job; nothing is reported of it."""
        try:
            key = ti.key
            self.queued_tasks.pop(key, None)
            self.running.discard(key)
            self.event_buffer.pop(key, None)
            for route in self._routes.all():
                route.dispatches.revoke(key, "Airflow has taken the task back")
        except Exception:
            log.exception("a task cannot be taken back")

    def try_adopt_task_instances(self, tis: Sequence[Any]) -> Sequence[Any]:
        """Go on with tasks of a scheduler that has died; those that the server does not know are
        given back. Again for tasks that are held already, it changes nothing."""
        try:
            parts = self._by_route(tis)
        except Exception:
            log.exception("tasks cannot be adopted")
            return [ti for ti in tis if not ti.external_executor_id]
        return [ti for route, its in parts for ti in self._adopt_safely(route, its)]

    def _adopt_safely(self, route: Route, tis: Sequence[Any]) -> list[Any]:
        try:
            return self._adopt(route, tis)
        except Exception:
            log.exception("tasks cannot be adopted")
            return [ti for ti in tis if not ti.external_executor_id]

    def _by_route(self, tis: Sequence[Any]) -> list[tuple[Route, list[Any]]]:
        found: dict[int, tuple[Route, list[Any]]] = {}
        for ti in tis:
            route = self._routes.of_dag(ti.dag_id)
            found.setdefault(id(route), (route, []))[1].append(ti)
        return list(found.values())

    def _adopt(self, route: Route, tis: Sequence[Any]) -> list[Any]:
        dispatches = route.dispatches
        wanted = {str(ti.external_executor_id): ti for ti in tis if ti.external_executor_id}
        unknown = [ti for ti in tis if not ti.external_executor_id]
        new = [key for key, ti in wanted.items() if not dispatches.holds(ti.key, key)]
        found: dict[str, dict[str, Any]] = {}
        missing: set[str] = set()
        verified = True
        if new and (server := _started(route)) is not None:
            try:
                found, missing = self._look(server, new, wanted)
            except Unavailable as error:
                # Their jobs run on, as far as anybody knows; what is not there is said later.
                log.warning("tasks are adopted unseen, the remote-server is away: %s", error)
                verified = False
        for dispatch, ti in wanted.items():
            if dispatch in missing:
                unknown.append(ti)
                continue
            key = ti.key
            self.running.add(key)
            dispatches.adopt(key, dispatch, found.get(dispatch), verified)
        if wanted:
            log.info("adopted %d tasks, %d are not known", len(tis) - len(unknown), len(unknown))
        return unknown

    @staticmethod
    def _look(
        server: Server, new: Sequence[str], wanted: Mapping[str, Any]
    ) -> tuple[dict[str, Any], set[str]]:
        """What the server knows of these dispatches; and those that it does not know."""
        found, missing = server.look_up([(one, None) for one in new], ADOPTION_TIMEOUT)
        deadline = time.monotonic() + ADOPTION_TIMEOUT
        for dispatch in sorted(missing):
            # A key counts for the token that it was used with, which may have been replaced.
            if str(wanted[dispatch].state) == "running" and time.monotonic() < deadline:
                filters = {"annotation": f"{DISPATCH}={dispatch}", "limit": "1"}
                if jobs := server.jobs(filters, ADOPTION_TIMEOUT):
                    found[dispatch] = jobs[0]
                    missing.discard(dispatch)
        return found, missing

    def end(self) -> None:
        """The scheduler stops: say what is left to say. Jobs run on and are adopted later."""
        self._routes.stop(_STOP_TIMEOUT)

    def terminate(self) -> None:
        """The same, at once."""
        self._routes.stop(0)

    # The api-server's process, where nobody calls start ------------------------------------------

    def get_task_log(self, ti: Any, try_number: int) -> tuple[list[str], list[str]]:
        """The log of a running task as far as it has come."""
        try:
            # Airflow makes this executor without a team, whoever the task belongs to.
            team = team_of(ti.dag_id)
            if team not in self._logs:
                settings = settings_of(ti.dag_id)
                self._logs[team] = RunningLogs(Server(settings, timeout=5.0), settings)
            return self._logs[team].read(ti, try_number)
        except Exception as error:
            # Some source at least, or Airflow asks port 8793 of a host that it cannot reach.
            return [f"The log cannot be read from the remote-server now: {error}"], []

    @staticmethod
    def get_cli_commands() -> list[Any]:
        """The commands `airflow remote …`."""
        from remote_airflow.cli import get_commands

        return get_commands()


def _started(route: Route) -> Server | None:
    """Its server, if it can be asked at all."""
    try:
        route.start()
    except SettingsError as error:
        log.error("tasks are adopted unseen: %s", error)
    return route.server


def _is_task(key: Any) -> bool:
    """Of callbacks and tests of connections Airflow has no log of events."""
    return hasattr(key, "try_number")
