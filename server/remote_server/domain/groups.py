"""A group: one job on each of many agents, how far it is, and what may start next. Pure.

Its limits are judged from what is committed: each change of a member changes the counts of its
group in the same transaction (`moved`), and a member is given to its agent only by a transaction
in which `may_start` holds. So they hold whoever submitted the group has gone, and whatever server
works with the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from remote_protocol.api.groups import GroupState
from remote_protocol.frozen import frozen
from remote_protocol.states import JobState
from remote_server.domain.model import Principal

_HELD_BY_AGENTS = (JobState.ASSIGNED, JobState.RUNNING)


@frozen
class Group:
    """A group (a row)."""

    id: str
    queue: str
    name: str | None
    created_at: float
    labels: Mapping[str, str]
    """Those that chose its agents."""
    online_only: bool
    max_parallel: int | None
    halt_on_failures: int | None
    counts: Mapping[JobState, int]
    """How many of its members are in each state."""
    halted_at: float | None = None
    cancel_requested_at: float | None = None
    cancel_detail: str = ""
    ended_at: float | None = None
    submitted_by: Principal | None = None

    @property
    def size(self) -> int:
        """How many members it has."""
        return sum(self.counts.values())

    @property
    def in_flight(self) -> int:
        """Members that agents hold."""
        return sum(self.counts[state] for state in _HELD_BY_AGENTS)

    @property
    def room(self) -> int | None:
        """How many more members agents may hold; None: as many as there are."""
        return None if self.max_parallel is None else max(0, self.max_parallel - self.in_flight)

    @property
    def stopped(self) -> bool:
        """Whether no other member is started, ever."""
        return self.halted_at is not None or self.cancel_requested_at is not None

    @property
    def state(self) -> GroupState:
        """What became of it."""
        if self.ended_at is None:
            return GroupState.RUNNING
        if self.counts[JobState.SUCCEEDED] == self.size:
            return GroupState.SUCCEEDED
        return GroupState.FAILED if self.cancel_requested_at is None else GroupState.CANCELLED


def may_start(group: Group) -> bool:
    """Whether one more member may be given to its agent."""
    return not group.stopped and group.room != 0


def moved(group: Group, old: JobState, new: JobState, now: float) -> Group:
    """The group after a member went from one state to another.

    It halts when so many members have failed and another one waits: a member whose last attempt
    fails when nothing is left halts nothing.
    """
    counts = dict(group.counts)
    counts[old] -= 1
    counts[new] += 1
    return judged(replace(group, counts=counts), now)


def judged(group: Group, now: float) -> Group:
    """The group with what follows from its counts: whether it is halted, or has ended."""
    counts, limit = group.counts, group.halt_on_failures
    halted, ended = group.halted_at, group.ended_at
    waiting = counts[JobState.QUEUED] > 0
    if halted is None and limit is not None and waiting and counts[JobState.FAILED] >= limit:
        halted = now
    over = not waiting and not group.in_flight
    return replace(group, halted_at=halted, ended_at=(ended or now) if over else None)


def why_stopped(group: Group) -> str:
    """Why a stopped group ends its members that have not started."""
    if group.cancel_requested_at is not None:
        why = group.cancel_detail
        return f"its group was cancelled{f': {why}' if why else ''}"
    failed = group.counts[JobState.FAILED]
    jobs = f"{failed} job{'' if failed == 1 else 's'} of its group had failed"
    return f"its group was halted: {jobs} (halt_on_failures {group.halt_on_failures})"


def why_held(group: Group) -> str | None:
    """Why its members wait, as far as the group decides it."""
    if group.stopped:
        return f"{why_stopped(group)}; it is about to be cancelled"
    if group.room != 0:
        return None
    count = group.in_flight
    run = f"{count} other{'' if count == 1 else 's'} of its group run{'s' if count == 1 else ''}"
    return f"{run}, and no more may at the same time (max_parallel {group.max_parallel})"
