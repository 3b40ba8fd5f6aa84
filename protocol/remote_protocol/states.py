"""The states of jobs and attempts and every allowed transition, as data. Pure.

A job is what the user submitted; an attempt is one execution of it. Terminal states never
change (I3). A test compares these tables with the diagrams in docs/protocol.md.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from remote_protocol.errors import LocalProtocolError


class JobState(StrEnum):
    """State of a job as users see it."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended for good."""
        return self in TERMINAL


class JobEvent(StrEnum):
    """What moves a job from one state to the next."""

    ASSIGN = "assign"
    """A lease was given to an agent."""
    WITHDRAW = "withdraw"
    """The offer was refused or never accepted: the attempt cannot have started."""
    START = "start"
    RETRY = "retry"
    """The attempt ended, the job's policy grants another one."""
    RETURN = "return"
    """A lost attempt came back alive and the job's policy keeps the first one."""
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"


TERMINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

JOB_TRANSITIONS: Final[dict[JobState, dict[JobEvent, JobState]]] = {
    JobState.QUEUED: {
        JobEvent.ASSIGN: JobState.ASSIGNED,
        JobEvent.RETURN: JobState.RUNNING,
        JobEvent.FAIL: JobState.FAILED,
        JobEvent.CANCEL: JobState.CANCELLED,
    },
    JobState.ASSIGNED: {
        JobEvent.WITHDRAW: JobState.QUEUED,
        JobEvent.START: JobState.RUNNING,
        JobEvent.RETRY: JobState.QUEUED,
        JobEvent.RETURN: JobState.RUNNING,
        JobEvent.SUCCEED: JobState.SUCCEEDED,
        JobEvent.FAIL: JobState.FAILED,
        JobEvent.CANCEL: JobState.CANCELLED,
    },
    JobState.RUNNING: {
        JobEvent.RETRY: JobState.QUEUED,
        JobEvent.RETURN: JobState.RUNNING,
        JobEvent.SUCCEED: JobState.SUCCEEDED,
        JobEvent.FAIL: JobState.FAILED,
        JobEvent.CANCEL: JobState.CANCELLED,
    },
    JobState.SUCCEEDED: {},
    JobState.FAILED: {},
    JobState.CANCELLED: {},
}


class AttemptState(StrEnum):
    """State of one attempt on the server."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    RUNNING = "running"
    ENDED = "ended"
    WITHDRAWN = "withdrawn"
    """Refused or never accepted: it has not run and never will."""
    LOST = "lost"
    """Its lease expired while the agent was silent."""

    @property
    def live(self) -> bool:
        """Whether an agent still holds the lease."""
        return self in LIVE


LIVE: Final = frozenset({AttemptState.OFFERED, AttemptState.ACCEPTED, AttemptState.RUNNING})


class AttemptEvent(StrEnum):
    """What moves an attempt from one state to the next."""

    ACCEPT = "accept"
    WITHDRAW = "withdraw"
    START = "start"
    END = "end"
    LOSE = "lose"
    RETURN = "return"
    """Its agent came back with it alive, and the job's `on_return` is `keep_first`."""


ATTEMPT_TRANSITIONS: Final[dict[AttemptState, dict[AttemptEvent, AttemptState]]] = {
    AttemptState.OFFERED: {
        AttemptEvent.ACCEPT: AttemptState.ACCEPTED,
        AttemptEvent.START: AttemptState.RUNNING,
        AttemptEvent.WITHDRAW: AttemptState.WITHDRAWN,
        AttemptEvent.END: AttemptState.ENDED,
        AttemptEvent.LOSE: AttemptState.LOST,
    },
    AttemptState.ACCEPTED: {
        AttemptEvent.START: AttemptState.RUNNING,
        AttemptEvent.END: AttemptState.ENDED,
        AttemptEvent.LOSE: AttemptState.LOST,
    },
    AttemptState.RUNNING: {
        AttemptEvent.END: AttemptState.ENDED,
        AttemptEvent.LOSE: AttemptState.LOST,
    },
    AttemptState.ENDED: {},
    AttemptState.WITHDRAWN: {},
    AttemptState.LOST: {AttemptEvent.RETURN: AttemptState.RUNNING},
}


class EndReason(StrEnum):
    """Why an attempt or a job ended; stands beside the exit code, never instead of it."""

    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    MEMORY_LIMIT = "memory_limit"
    CANCELLED = "cancelled"
    LOST = "lost"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SPAWN_ERROR = "spawn_error"
    SECRET_MISSING = "secret_missing"
    """A secret that the job names was not to be had; it did not start."""


class AgentState(StrEnum):
    """How the server sees an agent."""

    ONLINE = "online"
    STALE = "stale"
    """Its link is open but it has been silent for more than two heartbeat intervals."""
    OFFLINE = "offline"


def advance_job(state: JobState, event: JobEvent) -> JobState:
    """The state after `event`. LocalProtocolError when the table has no such transition."""
    try:
        return JOB_TRANSITIONS[state][event]
    except KeyError:
        raise LocalProtocolError(f"a job that is {state} cannot {event}") from None


def advance_attempt(state: AttemptState, event: AttemptEvent) -> AttemptState:
    """The state after `event`. LocalProtocolError when the table has no such transition."""
    try:
        return ATTEMPT_TRANSITIONS[state][event]
    except KeyError:
        raise LocalProtocolError(f"an attempt that is {state} cannot {event}") from None
