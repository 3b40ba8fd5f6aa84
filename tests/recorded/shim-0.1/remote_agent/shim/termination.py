"""Ends a job before it ends by itself: the polite signal, the grace period, the kill.

A kill is repeated each second until the job has ended, for the kernel may hold a process for a
while. Touches the job through its workload.
"""

from __future__ import annotations

import time
from typing import Final

from remote_agent.processes import is_signal
from remote_agent.shim.ending import CANCELLED, Ending, Timeline
from remote_agent.shim.workload.base import Workload

_REPEAT: Final = 1.0
_MAX_GRACE: Final = 1e9
"""Seconds of a grace period at the most."""


class Termination:
    """Ends the job of one workload, once it was started."""

    def __init__(self, ending: Ending, timeline: Timeline, workload: Workload) -> None:
        self._ending = ending
        self._timeline = timeline
        self._workload = workload
        self._repeat_at: float | None = None
        self.survivors = 0
        """Processes of the job that were still there after the last kill."""

    @property
    def next_at(self) -> float | None:
        """When `enforce` wants to be called, in monotonic seconds; None for never."""
        return self._ending.kill_at if self._ending.kill_at is not None else self._repeat_at

    def enforce(self, now: float) -> None:
        """Kill what did not obey in its grace period, and what did not die of the last kill."""
        if self.next_at is None or now < self.next_at:
            return
        if self._ending.kill_at is not None:
            self.kill(CANCELLED, "")
        else:
            self._kill()

    def interrupt(
        self, reason: str, detail: str, grace: object = None, signal: object = None
    ) -> None:
        """End the job politely, unless it is being ended already. `grace` (seconds) and `signal`
        stand in for those of its order where they make sense."""
        sent = self._ending.interrupt(
            time.monotonic(),
            reason,
            detail,
            float(grace) if isinstance(grace, int | float) and 0 <= grace < _MAX_GRACE else None,
            signal if isinstance(signal, str) and is_signal(signal) else None,
        )
        if sent is not None:
            done = self._workload.interrupt(sent)
            self._timeline.add(time.time(), "interrupt", f"{done}: {detail}")

    def kill(self, reason: str, detail: str) -> None:
        """Kill everything of the job at once; the reason of an earlier request stays."""
        if self._ending.kill(reason, detail):
            self._timeline.add(time.time(), "kill", "SIGKILL to the whole process tree")
        self._kill()

    def _kill(self) -> None:
        self._repeat_at = time.monotonic() + _REPEAT
        self._workload.kill()

    def sweep(self) -> None:
        """End what the job has left behind, after its own end."""
        swept = self._workload.sweep()
        if swept.killed:
            text = f"{swept.killed} processes of the job were left"
            self._timeline.add(time.time(), "swept", text)
        self.survivors = swept.survivors
        if swept.survivors:
            text = f"{swept.survivors} processes could not be killed; the kernel holds them"
            self._timeline.add(time.time(), "survivors", text)
