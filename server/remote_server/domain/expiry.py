"""When the server gives up on an attempt whose agent is silent, or does not do its duty. Pure.

All durations are seconds of the boot clock, counted by this process: a jump of the wall clock
ends no job, and after a restart of the server everything is counted anew.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from remote_protocol.states import AttemptState
from remote_protocol.units import format_duration
from remote_server.domain.model import LiveLease

OFFER_GRACE: Final = 15.0
"""Beyond its time to live, an offer that was certainly not accepted is taken back."""
CANCEL_GRACE: Final = 60.0
"""Beyond its grace period, a cancelled job of a silent agent is ended."""
TIMEOUT_GRACE: Final = 30.0
"""Beyond timeout and grace period, the server reminds the agent of the timeout."""
START_GRACE: Final = 30.0
"""Beyond the time to start, an attempt that its agent was asked to end is lost."""
STUCK: Final = 10
"""Times to start after which an attempt is overdue even if others of its agent begin."""
_AGENTS_PER_SECOND: Final = 200


class LeaseAction(StrEnum):
    """What to do with an attempt."""

    KEEP = "keep"
    WITHDRAW = "withdraw"
    LOSE = "lose"
    """Its agent cannot be asked: if its job was cancelled, that is done with it."""
    HURRY = "hurry"
    """Ask the agent to end it: it has not started it for longer than it may."""
    TIMEOUT = "timeout"
    """Ask the agent to end it: it has run for longer than it may."""


class Seen(NamedTuple):
    """What this process has seen of a lease, in seconds."""

    silence: float
    """Since its agent was last heard."""
    linked: bool
    """The agent's link is open: then silence is natural between two heartbeats."""
    held: float
    """Since the attempt was first seen in its present state."""
    idle: float
    """Since an attempt of its agent last ceased to wait for its start."""
    unanswered: bool = False
    """It is offered, and its agent's link knows that it was not accepted. Without that it may
    run, whatever the database says (ADR 50)."""


class Limits(NamedTuple):
    """What the server limits, in seconds."""

    offer: float
    """An offer must be accepted within it. Three intervals between heartbeats: so long an open
    link may be silent, too."""
    start: float
    """An accepted job must be started within it."""


def offer_ttl(configured: float, agents: int) -> float:
    """Seconds within which an offer must be accepted, given the size of the fleet: three
    intervals between heartbeats, which grow with it."""
    return max(configured, 3.0 * agents / _AGENTS_PER_SECOND)


def overdue_detail(timeout: float | None) -> str:
    """Why the server ends an attempt that has run for longer than it may."""
    return f"the server enforces the timeout of {format_duration(timeout or 0.0)}"


def unstarted_detail(agent: str, limit: float) -> str:
    """Why the server gives up an attempt that its agent accepted and does not start."""
    return f"the agent {agent!r} did not start the job within {format_duration(limit)}"


def judge(lease: LiveLease, seen: Seen, limits: Limits) -> LeaseAction:
    """What to do with a lease."""
    silence, linked, held, _, unanswered = seen
    tolerated = limits.offer if linked else 0.0
    if unanswered:
        return LeaseAction.WITHDRAW if held >= limits.offer + OFFER_GRACE else LeaseAction.KEEP
    if lease.cancel_requested:
        policy = min(lease.lost_after, lease.grace_period + CANCEL_GRACE)
        if silence >= max(policy, tolerated):
            return LeaseAction.LOSE
    if silence >= max(lease.lost_after, tolerated):
        return LeaseAction.LOSE
    if lease.state is not AttemptState.RUNNING:
        return _judge_start(lease, seen, limits.start)
    if lease.timeout is not None:
        overdue = held - lease.timeout - lease.grace_period
        # An agent that comes and goes never is silent for long, yet the job must end some day.
        if not linked and overdue >= lease.lost_after:
            return LeaseAction.LOSE
        # A wish that is being said already keeps its reason.
        if linked and not lease.cancel_requested and (lease.overdue or overdue >= TIMEOUT_GRACE):
            return LeaseAction.TIMEOUT
    return LeaseAction.KEEP


def _judge_start(lease: LiveLease, seen: Seen, limit: float) -> LeaseAction:
    """What to do with an attempt that was accepted and has not begun.

    While others of its agent begin it stands in a queue there, and that may be long.
    """
    waited = max(min(seen.held, seen.idle), seen.held - (STUCK - 1) * limit)
    # An agent that is away cannot be asked; when it comes and goes, some day it is enough.
    if waited >= limit + (START_GRACE if seen.linked else lease.lost_after):
        return LeaseAction.LOSE
    return LeaseAction.HURRY if seen.linked and waited >= limit else LeaseAction.KEEP
