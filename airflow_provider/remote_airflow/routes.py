"""The ways of tasks to servers: a route for each team. Asks Airflow's database whose a task is.

An executor of a team has its own only. Airflow gives that of everybody also tasks of teams, namely
those that name an executor that both have: for each such team it has a route of the team's own.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from remote_airflow.dispatches import Dispatches
from remote_airflow.link import Link
from remote_airflow.metrics import Metrics
from remote_airflow.pushes import Pushes
from remote_airflow.server import Server
from remote_airflow.settings import Settings, SettingsError, load
from remote_airflow.teams import configuration_for, has_teams, team_of, team_of_workload
from remote_airflow.versions import bundle_root

log = logging.getLogger(__name__)


class Route:
    """To one server: the settings, what was dispatched, and the threads that talk with it."""

    def __init__(self, team: str | None) -> None:
        self.team = team
        self.dispatches = Dispatches()
        self.server: Server | None = None
        self._settings: Settings | None = None
        self._link: Link | None = None
        self._metrics = Metrics(team)

    def settings(self) -> Settings:
        """The team's; read once, when they are whole. SettingsError."""
        if self._settings is None:
            self._settings = load(configuration_for(self.team))
        return self._settings

    def start(self) -> None:
        """Connect; again, nothing. SettingsError."""
        if self._link is not None:
            return
        settings = self.settings()
        self.server = Server(settings)
        pushes = Pushes(self.server, settings, bundle_root) if settings.push_bundles else None
        self._link = Link(self.server, self.dispatches, pushes)
        self._link.start()
        whose = f"tasks of team {self.team}" if self.team else "tasks of this executor"
        log.info("%s run on agents of %s", whose, settings.url)

    def stop(self, timeout: float) -> None:
        """Say what is left, for so many seconds. Jobs run on."""
        if self._link is not None:
            self._link.stop(timeout)

    def refused(self) -> None:
        """A task is not run, before the server was asked."""
        self._metrics.refused()

    def tell_metrics(self) -> None:
        """What has changed since the last call."""
        self._metrics.tell(self.dispatches, self.server.heard_at if self.server else None)


class Routes:
    """Those of one executor."""

    def __init__(self, team: str | None) -> None:
        self.own = Route(team)
        self._for_all = team is None and has_teams()
        self._of_teams: dict[str, Route] = {}

    def all(self) -> list[Route]:
        """Its own first."""
        return [self.own, *self._of_teams.values()]

    def of_workload(self, workload: Any) -> Route:
        """That of the team that it belongs to."""
        return self._of(team_of_workload(workload) if self._for_all else None)

    def of_dag(self, dag: str) -> Route:
        """That of the team that a DAG belongs to."""
        return self._of(team_of(dag) if self._for_all else None)

    def _of(self, team: str | None) -> Route:
        # A team that shares the server of everybody shares the route.
        if team is None or configuration_for(team) is configuration_for(None):
            return self.own
        if team not in self._of_teams:
            log.info("tasks of team %s name the executor of everybody; they go its own way", team)
            self._of_teams[team] = Route(team)
        return self._of_teams[team]

    def start(self) -> None:
        """Connect its own. SettingsError; not where there are teams: one that has wrong settings
        must not keep the scheduler from the others, and its tasks are told the reason."""
        try:
            self.own.start()
        except SettingsError as error:
            if not (self._for_all or self.own.team):
                raise
            whose = f"tasks of team {self.own.team}" if self.own.team else "tasks of no team"
            log.error("%s are not run by agents: %s", whose, error)

    def stop(self, timeout: float) -> None:
        """Say what is left to say, for so many seconds in all."""
        deadline = time.monotonic() + timeout
        for route in self.all():
            route.stop(max(0.0, deadline - time.monotonic()))
