"""How a job is being ended before it ends by itself, and the sentence about it. Pure.

The first reason wins. A polite end interrupts, waits for the grace period and kills; the memory
limit kills at once. Times are monotonic seconds; the timeline has wall-clock time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from remote_agent.processes import ExitStatus
from remote_agent.shim.order import Order
from remote_protocol.units import format_duration, plain_size

KILLED_FOR_MEMORY: Final = 137
_MAX_ENTRIES: Final = 100
_MAX_OF_ONE_KIND: Final = 10

EXIT: Final = "exit"
SIGNAL: Final = "signal"
TIMEOUT: Final = "timeout"
MEMORY_LIMIT: Final = "memory_limit"
CANCELLED: Final = "cancelled"
LOST: Final = "lost"
SPAWN_ERROR: Final = "spawn_error"
"""End reasons, as `remote_protocol.states.EndReason` has them."""
REQUESTED: Final = frozenset({CANCELLED, LOST, TIMEOUT, "rejected", "expired"})
"""Those with which an agent may ask a shim to end its job."""


class EndResult(NamedTuple):
    """What the exit record says about the end."""

    exit_code: int
    end_reason: str
    end_detail: str


class Step(NamedTuple):
    """Something that was done with an attempt, at this Unix time."""

    at: float
    what: str
    detail: str = ""


class Timeline:
    """What was done with the attempt and when, for the job's timeline."""

    def __init__(self) -> None:
        self.entries: list[Step] = []

    def add(self, at: float, what: str, detail: str = "") -> None:
        """Note a step at this Unix time. Repeated ones are cut, so that they hide no others."""
        entries = self.entries
        alike = [entry.what for entry in entries].count(what)
        if len(entries) < _MAX_ENTRIES and alike < _MAX_OF_ONE_KIND:
            entries.append(Step(at, what, detail))


class Ending:
    """Why the job is being ended. `kill_at` is when the grace period is over, None before."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.reason: str | None = None
        self.detail = ""
        self.kill_at: float | None = None
        self.killed = False
        self.interrupted = ""
        self._grace = order.grace

    def interrupt(
        self, now: float, reason: str, detail: str, grace: float | None, signal: str | None
    ) -> str | None:
        """The signal to send now; None when the job is being ended already."""
        if self.reason is not None:
            return None
        self.reason, self.detail = reason, detail
        self._grace = self._order.grace if grace is None else grace
        self.kill_at = now + self._grace
        self.interrupted = signal or self._order.stop_signal
        return self.interrupted

    def kill(self, reason: str, detail: str) -> bool:
        """Note that everything is killed now; the reason of an earlier request stays. Whether it
        is the first kill."""
        if self.reason is None:
            self.reason, self.detail = reason, detail
        self.kill_at = None
        first, self.killed = not self.killed, True
        return first

    def result(self, status: ExitStatus, killed_for_memory: bool = False) -> EndResult:
        """What the exit status means, with what was done to the job before."""
        limit = self._order.memory_limit
        if self.reason == MEMORY_LIMIT:
            return EndResult(KILLED_FOR_MEMORY, MEMORY_LIMIT, self.detail)
        if killed_for_memory and self.reason is None and limit is not None:
            return EndResult(KILLED_FOR_MEMORY, MEMORY_LIMIT, memory_detail(limit))
        if self.reason is not None:
            return EndResult(status.code, self.reason, f"{self.detail}; {self._how(status.words)}")
        reason = status.reason or (SIGNAL if status.forced else EXIT)
        return EndResult(status.code, reason, status.words)

    def _how(self, ended: str) -> str:
        if not self.interrupted:
            return ended
        if ended == f"killed by {self.interrupted}":
            return f"ended by {self.interrupted}"
        if self.killed:
            return (
                f"{ended} after {self.interrupted} and a grace period of "
                f"{format_duration(self._grace)}"
            )
        return f"{ended} after {self.interrupted}"


def timeout_detail(seconds: float) -> str:
    """Why a job is ended that ran too long."""
    return f"timeout of {format_duration(seconds)} reached"


def memory_detail(limit: int, at: float | None = None, peak: int = 0) -> str:
    """Why a job is killed that took too much memory: `at` seconds after its start."""
    text = f"killed: memory limit {plain_size(limit)} reached"
    if at is not None:
        text += f" at {_clock(at)}"
    return text + (f" (peak {plain_size(peak)})" if peak else "")


def _clock(seconds: float) -> str:
    """A moment in a job's life: `0:42`, `1:02:03`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
