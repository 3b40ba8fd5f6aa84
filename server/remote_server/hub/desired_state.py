"""What an agent is told of its row: its assignment, and what operators want of it.

Pure.
"""

from __future__ import annotations

from remote_protocol.messages import Assignment, DesiredMode
from remote_server.domain.model import Agent


def assignment_of(agent: Agent) -> Assignment:
    """What holds for an agent, as it is told."""
    return Assignment(queues=list(agent.queues), labels=agent.labels, capacity=agent.capacity)


def desired_mode_of(agent: Agent, now: float) -> DesiredMode:
    """What operators want of an agent, as it is told at `now` (Unix seconds)."""
    left = agent.drain_deadline_at
    return DesiredMode(
        paused=agent.paused,
        comment=agent.pause_comment,
        draining=agent.draining,
        drain_deadline=None if left is None else max(0.0, left - now),
        restart="" if agent.restart_requested_at is None else agent.process,
    )


def same_assignment(one: Agent, other: Agent) -> bool:
    """Whether both have the same queues, labels and capacity."""
    return (one.queues, one.labels, one.capacity) == (other.queues, other.labels, other.capacity)


def same_desired_mode(one: Agent, other: Agent) -> bool:
    """Whether operators want the same of both."""
    return _desired(one) == _desired(other)


def _desired(agent: Agent) -> tuple[object, ...]:
    return (
        agent.paused,
        agent.pause_comment,
        agent.draining,
        agent.drain_deadline_at,
        agent.restart_requested_at,
    )
