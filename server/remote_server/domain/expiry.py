"""When the server gives up on an attempt whose agent is silent, or does not do its duty. Pure.

All durations are seconds of the boot clock, counted by this process: a jump of the wall clock
ends no job, and after a restart of the server everything is counted anew.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from remote_protocol.states import AttemptState
from remote_protocol.units import format_duration
from remote_server.domain.model import LiveLease

OFFER_GRACE: Final = 15.0
"""Beyond its time to live, an offer that was not accepted is taken back."""
CANCEL_GRACE: Final = 60.0
"""Beyond its grace period, a cancelled job of a silent agent is finalised."""
TIMEOUT_GRACE: Final = 30.0
"""Beyond timeout and grace period, the server reminds the agent of the timeout."""
_AGENTS_PER_SECOND: Final = 200


class Verdict(StrEnum):
    """What to do with an attempt."""

    KEEP = "keep"
    WITHDRAW = "withdraw"
    LOSE = "lose"
    FINALISE = "finalise"
    """Its job was cancelled and the agent cannot be asked."""
    TIMEOUT = "timeout"
    """Ask the agent to end it: it has run for longer than it may."""


def offer_ttl(configured: float, agents: int) -> float:
    """Seconds within which an offer must be accepted, given the size of the fleet: three
    intervals between heartbeats, which grow with it."""
    return max(configured, 3.0 * agents / _AGENTS_PER_SECOND)


def overdue_detail(timeout: float | None) -> str:
    """Why the server ends an attempt that has run for longer than it may."""
    return f"the server enforces the timeout of {format_duration(timeout or 0.0)}"


def judge(lease: LiveLease, silence: float, linked: bool, held: float, ttl: float) -> Verdict:
    """What to do with a lease.

    `silence`: since its agent was last heard. `linked`: the agent's link is open; then silence is
    natural between two heartbeats, and only `ttl` (three intervals) of it counts. `held`: since
    this process first saw the attempt in its present state.
    """
    patience = ttl if linked else 0.0
    if lease.state is AttemptState.OFFERED:
        return Verdict.WITHDRAW if held >= ttl + OFFER_GRACE else Verdict.KEEP
    if lease.cancel_requested:
        policy = min(lease.lost_after, lease.grace_period + CANCEL_GRACE)
        if silence >= max(policy, patience):
            return Verdict.FINALISE
    if silence >= max(lease.lost_after, patience):
        return Verdict.LOSE
    if lease.timeout is not None and lease.state is AttemptState.RUNNING:
        overdue = held - lease.timeout - lease.grace_period
        # An agent that comes and goes never is silent for long, yet the job must end some day.
        if not linked and overdue >= lease.lost_after:
            return Verdict.LOSE
        # A wish that is being said already keeps its reason.
        if linked and not lease.cancel_requested and (lease.overdue or overdue >= TIMEOUT_GRACE):
            return Verdict.TIMEOUT
    return Verdict.KEEP
