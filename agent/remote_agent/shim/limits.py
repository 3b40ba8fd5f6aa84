"""The limits of one job while it runs: its time, its memory, the absence of the server.

Decides when each is over and has the job ended. Reads clocks, and what its workload and the file
of the last contact say.
"""

from __future__ import annotations

import time

from remote_agent.shim.contact import Absence
from remote_agent.shim.ending import (
    LOST,
    MEMORY_LIMIT,
    TIMEOUT,
    Ending,
    Timeline,
    memory_detail,
    timeout_detail,
)
from remote_agent.shim.order import Order
from remote_agent.shim.termination import Termination
from remote_agent.shim.workload.base import Workload


def first(*moments: float | None) -> float | None:
    """The first of these moments; None for none at all."""
    earliest = None
    for moment in moments:
        if moment is not None and (earliest is None or moment < earliest):
            earliest = moment
    return earliest


class Limits:
    """Watches one job that has been started."""

    def __init__(
        self,
        order: Order,
        workload: Workload,
        absence: Absence | None,
        ending: Ending,
        termination: Termination,
        timeline: Timeline,
    ) -> None:
        self._order = order
        self._workload = workload
        self._absence = absence
        self._ending = ending
        self._termination = termination
        self._timeline = timeline
        self._started = 0.0
        self._timeout_at: float | None = None

    def start(self, started: float) -> None:
        """The job was started at this moment, in monotonic seconds."""
        self._started = started
        if self._order.timeout is not None:
            self._timeout_at = started + self._order.timeout

    def next_check(self) -> float | None:
        """When `enforce` wants to be called, in monotonic seconds; None for never."""
        return first(
            self._timeout_at,
            self._termination.next_at,
            self._workload.check_at,
            None if self._absence is None else self._absence.check_at,
        )

    def enforce(self, now: float) -> None:
        """Have the job ended if one of its limits is over, or has not obeyed when it was."""
        if self._timeout_at is not None and now >= self._timeout_at:
            self._timeout_at = None
            if self._ending.reason is None and self._order.timeout is not None:
                detail = timeout_detail(self._order.timeout)
                self._timeline.add(time.time(), TIMEOUT, detail)
                self._termination.interrupt(TIMEOUT, detail)
        check_at, limit = self._workload.check_at, self._order.memory_limit
        if check_at is not None and limit is not None and now >= check_at:
            if self._workload.over_memory(now):
                detail = memory_detail(limit, now - self._started, self._workload.peak)
                self._timeline.add(time.time(), MEMORY_LIMIT, detail)
                self._termination.kill(MEMORY_LIMIT, detail)
        if self._absence is not None and (why := self._absence.expired(now)) is not None:
            self._termination.interrupt(LOST, why)
        self._termination.enforce(now)
