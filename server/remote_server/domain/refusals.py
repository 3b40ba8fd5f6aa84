"""Which agents give back what they are offered, and which jobs come back: both have to wait. Pure.

An agent that takes nothing of what it is offered gets nothing for a while, twice as long each time,
until it takes something. A job that an agent gave back is not offered to that agent for a while,
and goes to others meanwhile. What comes back again and again waits for everybody (`decisions`).
All of it is memory of one process: after a restart it is learnt anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from remote_protocol.units import format_duration

FREE: Final = 4
"""Offers that an agent may give back before it has to wait: it may have been paused just now."""
LONGEST: Final = 600.0
"""Seconds that an agent has to wait at the most."""
LONGEST_OF_JOB: Final = 60.0
"""Seconds for which a job is not offered to an agent again."""
_MOST_JOBS: Final = 10_000
_MOST_AGENTS: Final = 64
"""Agents that are remembered for one job."""
_NOBODY: Final[frozenset[str]] = frozenset()
_SHOWN: Final = 200


@dataclass(slots=True)
class _Agent:
    score: int = 0
    """Offers that it gave back, less those that it took."""
    until: float = 0.0
    detail: str = ""


@dataclass(slots=True)
class _Job:
    agents: dict[str, tuple[int, float]] = field(default_factory=dict)
    """How often each agent gave it back, and until when it is not offered it."""


class Refusals:
    """Remembers what came back. `now` is seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._agents: dict[str, _Agent] = {}
        self._jobs: OrderedDict[str, _Job] = OrderedDict()

    def refused(self, agent: str, job: str, detail: str, now: float) -> float:
        """An agent gave a job back; seconds until one of the two need not wait any more."""
        known = self._agents.setdefault(agent, _Agent())
        known.detail = detail
        if now >= known.until:
            # What was offered together comes back together: that counts once.
            known.score += 1
            over = known.score - FREE
            if over >= 0:
                known.until = now + min(2.0 ** min(over, 30), LONGEST)
        waits = self._jobs.setdefault(job, _Job())
        self._jobs.move_to_end(job)
        if len(self._jobs) > _MOST_JOBS:
            self._jobs.popitem(last=False)
        count, _ = waits.agents.pop(agent, (0, 0.0))
        wait = min(2.0 ** min(count, 30), LONGEST_OF_JOB)
        waits.agents[agent] = (count + 1, now + wait)
        if len(waits.agents) > _MOST_AGENTS:
            del waits.agents[next(iter(waits.agents))]
        return max(wait, known.until - now)

    def accepted(self, agent: str, job: str) -> None:
        """An agent took a job."""
        self._jobs.pop(job, None)
        known = self._agents.get(agent)
        if known is not None:
            known.score -= 1
            if known.score <= 0:
                del self._agents[agent]

    def forget(self, agent: str) -> None:
        """The agent was deleted."""
        self._agents.pop(agent, None)

    def blocked(self, agent: str, now: float) -> str:
        """Why an agent is offered nothing now, in words; empty when it is."""
        known = self._agents.get(agent)
        if known is None or now >= known.until:
            return ""
        left = format_duration(max(1.0, known.until - now))
        return (
            f"it gives back what it is offered, and gets the next offer in {left}: "
            f"{known.detail[:_SHOWN]}"
        )

    def remark(self, agent: str) -> str:
        """What operators should know about an agent; empty for nothing."""
        known = self._agents.get(agent)
        if known is None or known.score < FREE:
            return ""
        return f"it gives back what it is offered: {known.detail[:_SHOWN]}"

    def avoided(self, job: str, now: float) -> Collection[str]:
        """The agents that this job is not offered to now."""
        waits = self._jobs.get(job)
        if waits is None:
            return _NOBODY
        return frozenset(name for name, (_, until) in waits.agents.items() if now < until)
