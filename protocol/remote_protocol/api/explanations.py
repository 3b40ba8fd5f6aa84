"""Bodies of the call that says whether a job would run. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from remote_protocol.api.bodies import View
from remote_protocol.defaults import empty_list


class ConditionView(View):
    """One condition that a job makes of its agent, and whether an agent meets it."""

    what: Literal["agent", "queue", "label", "runs", "online", "takes_jobs", "room"]
    wanted: str = ""
    """The agent, the queue, the label (`KEY=VALUE`), the kind of job, or the share of
    the agent that it needs."""
    met: bool | None
    """Null: nobody can say while the agent is away."""
    found: str
    """What the agent has, in words."""


class CandidateView(View):
    """An agent, judged by every condition."""

    agent: str
    misses: int
    """Conditions that it does not meet."""
    last_seen_at: datetime | None = None
    conditions: list[ConditionView]


class RefusalView(View):
    """Why the server would not take a job."""

    code: str
    """As in the answer to a submit (RFC 9457)."""
    detail: str


class JobExplanation(View):
    """Answer to `POST /jobs/explain`: whether and where a job would run. Nothing is submitted."""

    outlook: Literal["now", "later", "blocked", "never", "refused"]
    """`now`: an agent has room; `later`: when one has; `blocked`: after somebody has acted, as
    resumed a queue or brought an agent back; `never`: no registered agent could run it; `refused`:
    the server would not take it."""
    reason: str
    """The outlook in a sentence."""
    refusals: list[RefusalView] = Field(default_factory=empty_list)
    withheld: dict[str, str] = Field(default_factory=dict)
    """Secrets that it names and the server would not give, each with a sentence why; for those who
    may submit. The host of its agent may have them."""
    serving: int
    """Agents that serve its queue."""
    judged: int
    """Those of them that were looked at: of a large fleet a part."""
    fitting: int
    """Those of the judged ones that miss nothing."""
    candidates: list[CandidateView]
    """The nearest agents, the nearest first."""
