"""Bodies of the calls about agents. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from remote_protocol.api.bodies import Body, View
from remote_protocol.defaults import empty_list
from remote_protocol.ids import JobId, Labels, Name
from remote_protocol.parts import (
    Capacity,
    Comment,
    Condition,
    HostLoad,
    Platform,
    Queues,
)
from remote_protocol.quantities import Duration
from remote_protocol.states import AgentState


class AgentView(View):
    """An agent as operators see it."""

    name: Name
    state: AgentState
    queues: list[str]
    labels: dict[str, str] = Field(default_factory=dict)
    capacity: Capacity
    running: int = 0
    """Attempts it holds now."""
    jobs: list[JobId] = Field(default_factory=empty_list)
    """Those attempts' jobs, at most 100."""
    condition: Condition = Condition()
    paused: bool = False
    pause_comment: str = ""
    draining: bool = False
    restart_requested_at: datetime | None = None
    """Since when its process is to make room for a new one; null: it is not, or has done so."""
    ephemeral: bool = False
    version: str = ""
    platform: Platform = Platform()
    boot_id: str = ""
    address: str = ""
    spool_bytes: int = 0
    load: HostLoad | None = None
    """How busy its host was when it last said so; null: not said since the server's start."""
    registered_at: datetime
    connected_at: datetime | None = None
    last_seen_at: datetime | None = None
    warning: str = ""
    allowed_actions: list[str] = Field(default_factory=empty_list)
    """What the caller may do with it now: `pause`, `resume`, `drain`, `restart`, `change`,
    `rotate_token`, `delete`."""


class AgentChange(Body):
    """`PATCH /agents/{name}`: fields that are left out stay."""

    queues: Annotated[Queues, Field(min_length=1)] | None = None
    labels: Labels | None = None
    capacity: Capacity | None = None


class AgentPause(Body):
    """`POST /agents/{name}/pause`."""

    comment: Comment = ""


class AgentDrain(Body):
    """`POST /agents/{name}/drain`."""

    deadline: Duration | None = None
    """Seconds after which jobs that still run are cancelled; null: never."""


class AgentToken(View):
    """Answer to `POST /agents/{name}/rotate-token`."""

    name: Name
    token: str
