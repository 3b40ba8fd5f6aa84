"""Metrics of the executor in Airflow's own back-end (StatsD, OpenTelemetry). Never raises.

remote_executor.outbox               gauge    jobs that the server has not got yet
remote_executor.followed             gauge    jobs that it has got and that have not ended
remote_executor.silence              gauge    seconds since it was heard last
remote_executor.refused              counter  tasks that were not run, for it or we refuse their job
remote_executor.queued_to_running    timer    from the dispatch of a task until its job is running
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any, Final

from remote_airflow.dispatches import Dispatches
from remote_airflow.versions import stats

log = logging.getLogger(__name__)

OUTBOX: Final = "remote_executor.outbox"
FOLLOWED: Final = "remote_executor.followed"
SILENCE: Final = "remote_executor.silence"
REFUSED: Final = "remote_executor.refused"
WAITED: Final = "remote_executor.queued_to_running"
_SAY_EVERY: Final = 600.0


class Metrics:
    """What one executor tells the back-end; a team's have its name as a tag."""

    def __init__(self, team: str | None) -> None:
        self._tags = {"team_name": team} if team else None
        self._said_at = -_SAY_EVERY

    def refused(self) -> None:
        """A task is not run, before the server was asked."""
        self._tell(lambda back_end: back_end.incr(REFUSED, tags=self._tags))

    def tell(self, dispatches: Dispatches, heard_at: float | None) -> None:
        """All that has changed since the last call; `heard_at` by the monotonic clock."""

        def all_of_them(back_end: Any) -> None:
            found = dispatches.measures()
            back_end.gauge(OUTBOX, found.outbox, tags=self._tags)
            back_end.gauge(FOLLOWED, found.followed, tags=self._tags)
            if heard_at is not None:
                silence = round(time.monotonic() - heard_at, 3)
                back_end.gauge(SILENCE, silence, tags=self._tags)
            if found.refused:
                back_end.incr(REFUSED, found.refused, tags=self._tags)
            for seconds in found.waited:
                back_end.timing(WAITED, timedelta(seconds=seconds), tags=self._tags)

        self._tell(all_of_them)

    def _tell(self, words: Any) -> None:
        try:
            words(stats())
        except Exception as error:
            if time.monotonic() - self._said_at >= _SAY_EVERY:
                self._said_at = time.monotonic()
                log.warning("metrics of the executor cannot be told now: %s", error)
