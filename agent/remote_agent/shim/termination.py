"""What is done to a job's processes before they end by themselves: signals, sent and noted.

The polite signal goes to the job's process group; a kill to the whole tree, again each second
until the main process is gone, for the kernel may hold one of them for a while.
"""

from __future__ import annotations

import time
from typing import Any, Final

from remote_agent.processes import interrupt, is_signal, kill_tree, sweep
from remote_agent.shim.confine import Confinement
from remote_agent.shim.ending import CANCELLED, Ending, Steps

_AGAIN: Final = 1.0
_LONGEST: Final = 1e9
"""Seconds of a grace period at the most."""


class Termination:
    """Ends one job. `pid` is its main process, the leader of its group; 0 before it exists."""

    def __init__(self, ending: Ending, steps: Steps, confine: Confinement) -> None:
        self._ending = ending
        self._steps = steps
        self._confine = confine
        self._again_at: float | None = None
        self.pid = 0
        self.survivors = 0
        """Processes of the job that the kernel did not give back after the last kill."""

    @property
    def next_at(self) -> float | None:
        """When `enforce` wants to be called, in monotonic seconds; None for never."""
        return self._ending.kill_at if self._ending.kill_at is not None else self._again_at

    def enforce(self, now: float) -> None:
        """Kill what did not obey in its grace period, and what did not die of the last kill."""
        if self.next_at is None or now < self.next_at:
            return
        if self._ending.kill_at is not None:
            self.kill(CANCELLED, "")
        else:
            self._strike()

    def interrupt(self, reason: str, detail: str, wish: dict[str, Any]) -> None:
        """End the job politely, unless it is being ended already. `wish` may carry `grace` and
        `signal` of its own."""
        grace, name = wish.get("grace"), str(wish.get("signal"))
        sent = self._ending.interrupt(
            time.monotonic(),
            reason,
            detail,
            float(grace) if isinstance(grace, int | float) and 0 <= grace < _LONGEST else None,
            name if is_signal(name) else None,
        )
        if sent is None:
            return
        done = interrupt(self.pid, sent)
        self._steps.add(time.time(), "interrupt", f"{done}: {detail}")

    def kill(self, reason: str, detail: str) -> None:
        """Kill the whole tree at once; the reason of an earlier wish stays."""
        if self._ending.kill(reason, detail):
            self._steps.add(time.time(), "kill", "SIGKILL to the whole process tree")
        self._strike()

    def _strike(self) -> None:
        self._again_at = time.monotonic() + _AGAIN
        if not self._confine.kill():
            kill_tree(self.pid)

    def sweep(self) -> tuple[float, float]:
        """End what the job's main process left behind, after it was reaped; its CPU seconds."""
        self._confine.kill()
        swept = sweep(self.pid)
        killed = swept.killed + self._confine.end_user()
        if killed:
            self._steps.add(time.time(), "swept", f"{killed} processes of the job were left")
        self.survivors = swept.survivors
        if swept.survivors:
            text = f"{swept.survivors} processes could not be killed; the kernel holds them"
            self._steps.add(time.time(), "survivors", text)
        return swept.cpu_user, swept.cpu_system
