"""How a job is being ended before it ends by itself, and the sentence about it. Pure.

The first reason wins. A polite end interrupts, waits for the grace period and kills; the memory
limit kills at once. Times are monotonic seconds; `steps` carry wall-clock time for the timeline.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from remote_agent.processes import exit_status
from remote_agent.shim.order import Order
from remote_agent.shim.words import clock_words, duration_words, size_words

KILLED_FOR_MEMORY: Final = 137
_MOST_STEPS: Final = 100
_MOST_ALIKE: Final = 10

EXIT: Final = "exit"
SIGNAL: Final = "signal"
TIMEOUT: Final = "timeout"
MEMORY_LIMIT: Final = "memory_limit"
CANCELLED: Final = "cancelled"
LOST: Final = "lost"
SPAWN_ERROR: Final = "spawn_error"
"""End reasons, as `remote_protocol.states.EndReason` has them."""
WISHED: Final = frozenset({CANCELLED, LOST, TIMEOUT, "rejected", "expired"})
"""Those with which somebody may ask a shim to end its job."""


class Verdict(NamedTuple):
    """What the exit record says about the end."""

    exit_code: int
    end_reason: str
    end_detail: str


class Steps:
    """What was done with the attempt and when, for the job's timeline."""

    def __init__(self) -> None:
        self.entries: list[dict[str, object]] = []

    def add(self, at: float, what: str, detail: str = "") -> None:
        """Note a step at this Unix time. Repeated ones are cut, so that they hide no others."""
        alike = sum(entry["what"] == what for entry in self.entries)
        if len(self.entries) < _MOST_STEPS and alike < _MOST_ALIKE:
            entry: dict[str, object] = {"at": round(at, 6), "what": what}
            if detail:
                entry["detail"] = detail
            self.entries.append(entry)


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
        """Note that the whole tree is killed now; the reason of an earlier wish stays."""
        if self.reason is None:
            self.reason, self.detail = reason, detail
        self.kill_at = None
        first, self.killed = not self.killed, True
        return first

    def verdict(self, status: int, oom_kills: int = 0) -> Verdict:
        """What the wait status means, with what was done to the job before."""
        shown, ended, forced = exit_status(status)
        if self.reason == MEMORY_LIMIT:
            return Verdict(KILLED_FOR_MEMORY, MEMORY_LIMIT, self.detail)
        if oom_kills and self.reason is None and self._order.memory_limit is not None:
            return Verdict(KILLED_FOR_MEMORY, MEMORY_LIMIT, memory_words(self._order.memory_limit))
        if self.reason is not None:
            return Verdict(shown, self.reason, f"{self.detail}; {self._manner(ended)}")
        return Verdict(shown, SIGNAL if forced else EXIT, ended)

    def _manner(self, ended: str) -> str:
        if not self.interrupted:
            return ended
        if ended == f"killed by {self.interrupted}":
            return f"ended by {self.interrupted}"
        if self.killed:
            return (
                f"{ended} after {self.interrupted} and a grace period of "
                f"{duration_words(self._grace)}"
            )
        return f"{ended} after {self.interrupted}"


def timeout_words(seconds: float) -> str:
    """Why a job is ended that ran too long."""
    return f"timeout of {duration_words(seconds)} reached"


def memory_words(limit: int, at: float | None = None, peak: int = 0) -> str:
    """Why a job is killed that took too much memory: `at` seconds after its start."""
    text = f"killed: memory limit {size_words(limit)} reached"
    if at is not None:
        text += f" at {clock_words(at)}"
    return text + (f" (peak {size_words(peak)})" if peak else "")
