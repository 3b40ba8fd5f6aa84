"""Bodies of the calls about groups: one job on every matching agent. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from remote_protocol.api.bodies import Actor, Body, View
from remote_protocol.defaults import empty_list
from remote_protocol.ids import JobId, Labels
from remote_protocol.limits import MAX_GROUP_MEMBERS
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason, JobState


class GroupState(StrEnum):
    """What became of a group: `running` until the last of its members has ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    """Every member has."""
    FAILED = "failed"
    CANCELLED = "cancelled"
    """It was cancelled, and not every member had succeeded."""


class GroupSelection(Body):
    """Which of the agents that serve the queue of the job get one."""

    labels: Labels = Field(default_factory=dict)
    """Labels that an agent must have when the group is submitted, beside those of the job itself.
    The jobs do not demand them afterwards."""
    online_only: bool = False
    """Leave out agents that are offline, or take no jobs at this moment (paused, draining). Without
    it they are members like the others, whose jobs wait."""


class GroupCreate(Body):
    """`POST /groups` and `POST /groups/explain`."""

    spec: JobSpec
    """The job of every member, without `agent`, which the server fills in, and without an input."""
    select: GroupSelection = GroupSelection()
    max_parallel: int | None = Field(default=None, ge=1, le=MAX_GROUP_MEMBERS)
    """Members that agents hold at the same time, at the most; null: all."""
    halt_on_failures: int | None = Field(default=None, ge=1, le=MAX_GROUP_MEMBERS)
    """Failed members after which no other one is started; null: failures halt nothing."""


class GroupMember(View):
    """One job of a group, in short."""

    job: JobId
    agent: str
    state: JobState
    attempt: int = 0
    """Number of the current or last attempt; 0 before the first."""
    exit_code: int | None = None
    end_reason: EndReason | None = None
    end_detail: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class UnavailableAgent(View):
    """An agent that would take no job at this moment."""

    agent: str
    reason: str


class GroupView(View):
    """A group as shown."""

    id: JobId
    name: str | None = None
    """The name that its jobs have."""
    state: GroupState
    queue: str
    select: GroupSelection
    max_parallel: int | None = None
    halt_on_failures: int | None = None
    size: int
    """How many members it has."""
    counts: dict[JobState, int]
    """How many of them are in each state."""
    halted_at: datetime | None = None
    """When so many had failed that no other one is started."""
    cancel_requested: bool = False
    cancel_detail: str = ""
    created_at: datetime
    ended_at: datetime | None = None
    submitted_by: Actor | None = None
    allowed_actions: list[str] = Field(default_factory=empty_list)
    """What the caller may do with it now: `cancel`."""
    unavailable: int = 0
    """How many members wait for agents that are offline or take no jobs. Filled where one group is
    shown."""
    unavailable_agents: list[UnavailableAgent] = Field(default_factory=empty_list)
    """The first of them, with why."""


class GroupDetail(GroupView):
    """A group with a page of its members, in the order in which they start."""

    members: list[GroupMember] = Field(default_factory=empty_list)
    next_cursor: str | None = None
    """Give it as `cursor` to get the next page of members; null on the last one."""


class GroupExplanation(View):
    """Which agents a group would have, as things stand."""

    queue: str
    size: int
    agents: list[str]
    """Their names, the first thousand."""
    unavailable: int = 0
    unavailable_agents: list[UnavailableAgent] = Field(default_factory=empty_list)
